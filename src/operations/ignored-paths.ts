import type { TreePath } from "../model/name.ts";

/** Sets of paths that a system writes to by itself. docs/history.md lists them. */
export type PathSet = "logs" | "cache";

/** Whole directories: what is in them is ignored, of themselves the time. */
const DIRECTORIES: Readonly<Record<PathSet, RegExp>> = {
  logs: /^var\/log(?<below>\/|$)/,
  cache: /^(?:var\/cache|var\/lib\/apt\/lists|var\/tmp|tmp|run|root\/\.cache|home\/[^/]+\/\.cache)(?<below>\/|$)/,
};

/** Single files, and directories that go with what is in them. */
const ENTRIES: Readonly<Record<PathSet, RegExp | undefined>> = {
  logs: undefined,
  cache: /^etc\/ld\.so\.cache$|(?:^|\/)__pycache__(?:\/|$)/,
};

/** "itself": a directory whose time is to be ignored, and nothing else of it. */
export function isIgnored(path: TreePath, sets: readonly PathSet[]): "below" | "itself" | undefined {
  for (const set of sets) {
    if (ENTRIES[set]?.test(path) === true) return "below";
    const found = DIRECTORIES[set].exec(path);
    if (found !== null) return found.groups?.["below"] === "/" ? "below" : "itself";
  }
  return undefined;
}
