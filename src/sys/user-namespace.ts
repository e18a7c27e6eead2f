import { readFileSync } from "node:fs";

/** The user namespace of this process, if it is not the host's first. */
export interface UserNamespace {
  /** Ranges of its ids and those outside, `KIND:INSIDE:OUTSIDE:COUNT` each, as `lxc-usernsexec -m` takes them. */
  readonly ranges: readonly string[];
  /** /proc/PID/uid_map of whoever is in it, blanks and lines as single blanks. */
  readonly uidMap: string;
}

/** @returns undefined in the host's first */
export function userNamespace(): UserNamespace | undefined {
  const [uids, gids] = (["uid_map", "gid_map"] as const).map(readMap);
  if (uids === undefined || gids === undefined || (uids.length === 1 && uids[0] === ALL)) return undefined;
  const ranges = (kind: "u" | "g", lines: readonly string[]): string[] =>
    lines.map((line) => `${kind}:${line.replaceAll(" ", ":")}`);
  return { ranges: [...ranges("u", uids), ...ranges("g", gids)], uidMap: uids.join(" ") };
}

const ALL = "0 0 4294967295";

function readMap(file: string): string[] {
  const lines = readFileSync(`/proc/self/${file}`, "latin1").trim().split("\n");
  return lines.map((line) => line.trim().replace(/\s+/g, " "));
}
