import type { HistoryEntry, KeptFile, Ref, RefChange } from "../containers/records.ts";

/** One thing that has a name, over a piece of the history: what it was before that, and what it was made of it. */
export interface Lineage {
  /** After the piece; null if it was removed. */
  readonly now: Named | null;
  /** Before it; null if it was made since. */
  readonly then: Named | null;
  /** Of a container's LXC directory, as the first entry that removed it, or wrote it anew, found it. */
  readonly files: readonly KeptFile[];
  /** It took the place of an LXC directory that the store did not know. */
  readonly isAdopted: boolean;
}

export interface Named {
  readonly name: string;
  readonly ref: Ref;
}

/**
 * What a piece of the history did in all, names followed through renames. What was made and removed within it is left out.
 *
 * @param entries the newest first
 */
export function lineagesOf(entries: readonly HistoryEntry[]): Lineage[] {
  /** By the names that they have before the entries that were seen so far. */
  let open = new Map<string, Lineage>();
  const made: Lineage[] = [];
  for (const { changes } of entries) {
    const after = new Map<string, Lineage>();
    const before = new Map(open);
    for (const { name, after: ref } of changes) {
      before.delete(name);
      if (ref !== null) after.set(name, open.get(name) ?? begun({ name, ref }));
    }
    const origins = new Map(changes.map((change) => [change.name, change]));
    const continued = new Set<string>();
    for (const change of changes) {
      const lineage = after.get(change.name);
      if (lineage === undefined) continue;
      const origin = originOf(change, origins);
      if (origin === undefined || origin.before === null) {
        made.push({ ...lineage, then: null, isAdopted: change.before === null && change.files !== undefined });
        continue;
      }
      continued.add(origin.name);
      const { files = lineage.files } = origin;
      before.set(origin.name, { ...lineage, then: { name: origin.name, ref: origin.before }, files });
    }
    for (const { name, before: ref, files = [] } of changes) {
      if (ref === null || continued.has(name)) continue;
      before.set(name, { now: null, then: { name, ref }, files, isAdopted: false });
    }
    open = before;
  }
  return [...made, ...open.values()].filter(({ now, then }) => now !== null || then !== null);
}

function begun(now: Named): Lineage {
  return { now, then: now, files: [], isAdopted: false };
}

/** The change that has what a thing was before; undefined for one that was made. */
function originOf(change: RefChange, changes: ReadonlyMap<string, RefChange>): RefChange | undefined {
  const { from, before, after } = change;
  if (from !== undefined) return changes.get(from);
  return before !== null && after !== null && isSameThing(before, after) ? change : undefined;
}

function isSameThing(before: Ref, after: Ref): boolean {
  if (before.type === "layer" || after.type === "layer") return before.type === after.type;
  return before.created === after.created;
}
