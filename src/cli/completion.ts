import type { Command } from "./command.ts";
import { GLOBAL_OPTIONS, NDJSON_OPTION } from "./options.ts";
import type { Option } from "./options.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly Option[];
  /** What its first argument can be, where that is known. */
  readonly words: readonly string[];
}

/** Completes verbs, and their options; all else as file names. */
export function completionScript(shell: Shell, commands: readonly Command[]): string {
  const verbs = verbsOf(commands);
  switch (shell) {
    case "bash":
      return bash(verbs);
    case "zsh":
      return zsh(verbs);
    case "fish":
      return fish(verbs);
  }
}

function verbsOf(commands: readonly Command[]): Verb[] {
  // Verbs of several words, for LXC and for administrators, are left to be typed.
  const simple = commands.filter(({ name, hidden = false }) => !hidden && !name.includes(" "));
  const names = simple.map(({ name }) => name);
  const verbs = simple.map((command): Verb => {
    const { name, summary } = command;
    return { name, summary, options: optionsOf(command), words: name === "completion" ? SHELLS : [] };
  });
  return [...verbs, { name: "help", summary: "tell about a command", options: [], words: names }];
}

function optionsOf({ options = [], nameAt, long = false }: Command): Option[] {
  const name: Option[] = nameAt === undefined ? [] : [{ flags: "-n, --name <NAME>", description: "by name" }];
  return [...options, ...name, ...GLOBAL_OPTIONS, ...(long ? [NDJSON_OPTION] : [])];
}

function bash(verbs: readonly Verb[]): string {
  const first = [...verbs.map(({ name }) => name), ...GLOBAL_OPTIONS.flatMap(flagsOf)];
  const cases = verbs.map(({ name, options, words }) => {
    const given = words.length > 0 ? ` words=${quoted(words.join(" "))}` : "";
    return `    ${name}) flags=${quoted(options.flatMap(flagsOf).join(" "))}${given} ;;`;
  });
  return `# delta0 completion for bash
_delta0() {
  local cur=\${COMP_WORDS[COMP_CWORD]} verb= flags= words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
    --store | --wait) ((i++)) ;;
    -*) ;;
    *)
      verb=\${COMP_WORDS[i]}
      break
      ;;
    esac
  done
  case $verb in
    "") words=${quoted(first.join(" "))} ;;
${cases.join("\n")}
  esac
  if [[ $cur == -* && -n $verb ]]; then words=$flags; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _delta0 delta0
`;
}

function zsh(verbs: readonly Verb[]): string {
  const described = verbs.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`);
  const cases = verbs.map(({ name, options, words }) => {
    const given = words.length > 0 ? ` words_=(${words.map(quoted).join(" ")})` : "";
    return `    ${name}) flags=(${options.flatMap(flagsOf).map(quoted).join(" ")})${given} ;;`;
  });
  return `#compdef delta0
_delta0() {
  local -a verbs flags words_
  verbs=(
${described.join("\n")}
  )
  if ((CURRENT == 2)); then
    _describe verb verbs
    return
  fi
  case $words[2] in
${cases.join("\n")}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    compadd -- $flags
  elif (($#words_)); then
    compadd -- $words_
  else
    _files
  fi
}
compdef _delta0 delta0
`;
}

function fish(verbs: readonly Verb[]): string {
  const lines = ["# delta0 completion for fish"];
  for (const { name, summary } of verbs)
    lines.push(`complete -c delta0 -n __fish_use_subcommand -f -a ${name} -d ${fishQuoted(summary)}`);
  for (const { name, options, words } of verbs) {
    const seen = `-n ${fishQuoted(`__fish_seen_subcommand_from ${name}`)}`;
    if (words.length > 0) lines.push(`complete -c delta0 ${seen} -f -a ${fishQuoted(words.join(" "))}`);
    for (const { flags, description, choices } of options) {
      const names = flagsOf({ flags }).map((flag) =>
        flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
      );
      const value = flags.includes("<") ? " -r" : "";
      const given = choices === undefined ? "" : ` -f -a ${fishQuoted(choices.join(" "))}`;
      lines.push(`complete -c delta0 ${seen} ${names.join(" ")}${value}${given} -d ${fishQuoted(description)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** "-m, --message <TEXT>" has two. */
function flagsOf({ flags }: Pick<Option, "flags">): string[] {
  return flags.match(/(?<=^|\s)--?[A-Za-z0-9-]+/g) ?? [];
}

/** One word for bash and zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
