import { StoreError } from "../errors.ts";

/** Ids from `container` on are ids from `host` on, outside: `count` of them. */
export interface IdRange {
  readonly container: number;
  readonly host: number;
  readonly count: number;
}

/** How a user namespace maps ids: user_namespaces(7). What is in no range has no id outside. */
export interface IdMap {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

/** Outside, the id of what is `id` in the container; undefined if it has none. */
export function hostId(ranges: readonly IdRange[], id: number): number | undefined {
  const range = ranges.find(({ container, count }) => id >= container && id < container + count);
  return range && id - range.container + range.host;
}

/** In the container, the id of what is `id` outside; undefined if it has none. */
export function containerId(ranges: readonly IdRange[], id: number): number | undefined {
  const range = ranges.find(({ host, count }) => id >= host && id < host + count);
  return range && id - range.host + range.container;
}

/** Outside, the ids of the container's root. */
export function rootOf({ uids, gids }: IdMap): { readonly uid: number; readonly gid: number } {
  const [uid, gid] = [hostId(uids, 0), hostId(gids, 0)];
  if (uid === undefined || gid === undefined) throw new Error("an id map without root");
  return { uid, gid };
}

/**
 * The map that these ranges make: `KIND:CONTAINER:HOST:COUNT` each, KIND being u, g or b for both; blanks will do for colons, as in
 * LXC's configs.
 *
 * @throws {StoreError} USAGE for what is no range, ranges that overlap, and a map without the container's root
 */
export function parseIdMap(ranges: readonly string[]): IdMap {
  const parsed = ranges.map(parseRange);
  const of = (kind: "u" | "g"): IdRange[] => {
    const found = parsed.filter((range) => range.kind === kind || range.kind === "b").map(({ range }) => range);
    for (const side of ["container", "host"] as const) refuseOverlap(found, side, ranges);
    return found.sort((a, b) => a.container - b.container);
  };
  const map: IdMap = { uids: of("u"), gids: of("g") };
  if (hostId(map.uids, 0) === undefined || hostId(map.gids, 0) === undefined)
    throw new StoreError("USAGE", {
      reason: `the id map "${ranges.join(" ")}" has no user or no group 0, without which no container starts`,
      hint: "map both, as b:0:100000:65536 does",
    });
  return map;
}

/** What `parseIdMap` makes that map of: `u:0:100000:65536` and the like, users first, by container ids. Equal maps have equal texts. */
export function formatIdMap({ uids, gids }: IdMap): string[] {
  const format = (kind: string, ranges: readonly IdRange[]): string[] =>
    ranges.map(({ container, host, count }) => `${kind}:${container}:${host}:${count}`);
  return [...format("u", uids), ...format("g", gids)];
}

function parseRange(text: string): { kind: string; range: IdRange } {
  const [, kind, ...numbers] = /^([ugb])[: \t]+([0-9]+)[: \t]+([0-9]+)[: \t]+([0-9]+)$/.exec(text.trim()) ?? [];
  const [container = 0, host = 0, count = 0] = numbers.map(Number);
  if (kind === undefined || count === 0 || Math.max(container, host) + count > ID_LIMIT)
    throw new StoreError("USAGE", {
      reason: `"${text}" maps no ids`,
      hint: "write u:0:100000:65536, g:0:100000:65536, or b:0:100000:65536 for both",
    });
  return { kind, range: { container, host, count } };
}

function refuseOverlap(ranges: readonly IdRange[], side: "container" | "host", given: readonly string[]): void {
  const sorted = ranges.toSorted((a, b) => a[side] - b[side]);
  for (const [i, range] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next !== undefined && range[side] + range.count > next[side])
      throw new StoreError("USAGE", { reason: `the id map "${given.join(" ")}" maps an id twice` });
  }
}

/** (uid_t) -1 is no id. */
const ID_LIMIT = 2 ** 32 - 1;
