/**
 * A command line as text, for the history and for others who wait: without what says where the store is and how to answer, and without what
 * may be secrets: the values that it sets in LXC's configs and in environments, and the arguments of a program.
 */
export function callText(argv: readonly string[]): string {
  const words: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const given = argv[i] ?? "";
    if (given === "--") {
      words.push(given, ...argv.slice(i + 1, i + 2), ...(argv.length > i + 2 ? ["..."] : []));
      break;
    }
    const isSetting = /^--(set|env)$/.test(argv[i - 1] ?? "") || /^--(set|env)=/.test(given);
    const word = isSetting ? withoutValue(given) : given;
    if (word === "--store" || word === "--wait") i++;
    else if (!/^(--(store|wait)=.*|--json|--ndjson|--no-color|-[qvy]|--quiet|--verbose|--yes)$/s.test(word))
      words.push(/^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  }
  const text = words.join(" ");
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH - 1)}…`;
}

function withoutValue(setting: string): string {
  return setting.replace(/^((?:--(?:set|env)=)?[^=]*=).+$/s, "$1...");
}

/** A clone of a thousand names need not have them all there: the history has them. */
const MAX_LENGTH = 500;
