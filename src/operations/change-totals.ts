import type { ChangeDescription, ChangeKind, NodeDescription } from "./describe.ts";

/** Entries by what became of them, and bytes of regular files. What goes with a directory counts, each by itself. */
export interface ChangeTotals extends Readonly<Record<ChangeKind, number>> {
  /** Of files that came, and what others grew by. A file counts with each of its names. */
  readonly addedBytes: number;
  /** Of files that went, and what others shrank by. */
  readonly removedBytes: number;
}

/** Added less removed is what the trees differ by, in entries and in bytes. */
export function totalsOfChanges(changes: readonly ChangeDescription[]): ChangeTotals {
  const counts = { added: 0, removed: 0, changed: 0, replaced: 0, metadata: 0, renamed: 0 };
  let [addedBytes, removedBytes] = [0, 0];
  for (const { kind, before, after, gone } of changes) {
    counts[kind]++;
    if (kind === "renamed") continue;
    counts.removed += gone?.entries ?? 0;
    const grown = sizeOf(after) - sizeOf(before);
    addedBytes += Math.max(grown, 0);
    removedBytes += Math.max(-grown, 0) + (gone?.sizeBytes ?? 0);
  }
  return { ...counts, addedBytes, removedBytes };
}

function sizeOf(node: NodeDescription | null): number {
  return node?.sizeBytes ?? 0;
}
