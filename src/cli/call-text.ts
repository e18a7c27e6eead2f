/**
 * A command line as text, for the history: without what says where the store is and how to answer.
 */
export function callText(argv: readonly string[]): string {
  const words: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    if (word === "--store" || word === "--wait") i++;
    else if (!/^(--(store|wait)=.*|--json|--ndjson|--no-color|-[qvy]|--quiet|--verbose|--yes)$/s.test(word))
      words.push(/^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  }
  const text = words.join(" ");
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH - 1)}…`;
}

/** A clone of a thousand names need not have them all there: the history has them. */
const MAX_LENGTH = 500;
