import type { HistoryEntry, KeptFile, Ref, RefChange } from "../containers/records.ts";

/** One thing that has a name, over a piece of the history: what it was before that, and what was made of it. */
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
 * What a piece of the history did in all, names followed through renames. What was made and removed within it is left out; what was
 * removed and brought back by an undo is one thing.
 *
 * @param entries the newest first
 */
export function lineagesOf(entries: readonly HistoryEntry[]): Lineage[] {
  /** By the names that they have before the entries that were seen so far. */
  let open = new Map<string, Lineage>();
  /** What was made, as it was then. */
  const made = new Map<Lineage, Named>();
  for (const { changes } of entries) {
    const byName = new Map(changes.map((change) => [change.name, change]));
    const before = new Map([...open].filter(([name]) => !byName.has(name)));
    const continued = new Set<string>();
    for (const change of changes) {
      if (change.after === null) continue;
      const now = { name: change.name, ref: change.after };
      const lineage = open.get(now.name) ?? { now, then: now, files: [], isAdopted: false };
      const origin = originOf(change, byName);
      if (origin?.before === undefined || origin.before === null) {
        const isAdopted = change.before === null && change.files !== undefined;
        made.set({ ...lineage, then: null, isAdopted }, now);
      } else {
        continued.add(origin.name);
        before.set(origin.name, continuedBy(lineage, origin.name, origin.before, origin.files));
      }
    }
    for (const { name, before: ref, files } of changes) {
      if (ref === null || continued.has(name)) continue;
      const [again] = Array.from(made).find(([, as]) => as.name === name && isSameThing(as.ref, ref)) ?? [];
      if (again !== undefined) made.delete(again);
      before.set(name, continuedBy(again ?? NOTHING, name, ref, files));
    }
    open = before;
  }
  return [...made.keys(), ...open.values()].filter(({ now, then }) => now !== null || then !== null);
}

const NOTHING: Lineage = { now: null, then: null, files: [], isAdopted: false };

function continuedBy(lineage: Lineage, name: string, ref: Ref, files = lineage.files): Lineage {
  return { ...lineage, then: { name, ref }, files };
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
