import type { KeptFile, Ref } from "../containers/records.ts";
import { isStoreError, StoreError } from "../errors.ts";
import type { Store } from "../store.ts";

/** What a name stood for before its last changes: `NAME@{STEPS}`. */
export interface PastName {
  readonly name: string;
  /** How many changes of it to go back over. */
  readonly steps: number;
}

/** @returns undefined for what is written otherwise */
export function parsePastName(text: string): PastName | undefined {
  const [, name, steps] = /^(.+)@\{([0-9]{1,9})\}$/.exec(text) ?? [];
  return name === undefined ? undefined : { name, steps: Number(steps) };
}

/** A state of a name's history. */
export interface PastState {
  /** What it was named then. */
  readonly name: string;
  readonly ref: Ref;
  /** Of the container's LXC directory, as it was when that was next removed or written anew. */
  readonly files: readonly KeptFile[];
}

/**
 * @returns undefined if there never was such a name
 * @throws {StoreError} NOT_FOUND if its history does not go back as far, if there was nothing of that name then, or if what it was has
 *   been collected
 */
export async function findPast(store: Store, { name, steps }: PastName): Promise<PastState | undefined> {
  let kept: readonly KeptFile[] = [];
  let at: { name: string; ref: Ref | null } = { name, ref: store.refs.find(name) ?? null };
  let taken = 0;
  if (steps > 0)
    for await (const { from, before, files } of store.refs.historyOf(name)) {
      at = { name: from, ref: before };
      if (files.length > 0) kept = files;
      if (++taken === steps) break;
    }
  if (taken === 0 && at.ref === null) return undefined;
  if (taken < steps)
    throw new StoreError("NOT_FOUND", {
      what: `the history of "${name}" goes back ${taken} changes, not ${steps}`,
      hint: `delta0 reflog ${name}`,
    });
  if (at.ref === null)
    throw new StoreError("NOT_FOUND", {
      what: `there was no "${at.name}" ${steps} changes ago`,
      hint: `delta0 reflog ${name}`,
    });
  requireKept(store, at.ref, `${name}@{${steps}}`);
  return { name: at.name, ref: at.ref, files: kept };
}

/** @throws {StoreError} NOT_FOUND if what a ref of the history stands for is not in the store any more */
export function requireKept({ refs, trees }: Store, ref: Ref, what: string): void {
  try {
    for (const tree of ref.type === "layer" ? [refs.layer(ref.layer).tree] : [ref.tree, ref.lower]) trees.tree(tree);
    if (ref.type === "container" && ref.base !== null) refs.layer(ref.base);
  } catch (error) {
    if (!isStoreError(error, "NODE_MISSING")) throw error;
    throw new StoreError(
      "NOT_FOUND",
      { what: `${what} has been collected: what it was is not in the store any more` },
      { cause: error },
    );
  }
}
