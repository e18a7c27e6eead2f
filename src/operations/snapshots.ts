import type { ContainerRef, Layer, LayerRef, Ref } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { compareNumerically } from "../model/numeric-order.ts";
import type { Store } from "../store.ts";

/** A snapshot as its name has it: `CONTAINER@SNAPSHOT`. Names that users give layers and containers have no "@". */
export interface SnapshotName {
  readonly container: string;
  readonly snapshot: string;
}

export function parseSnapshotName(name: string): SnapshotName | undefined {
  const [, container, snapshot] = /^([^@]+)@([^@{][^@]*)$/.exec(name) ?? [];
  return container === undefined || snapshot === undefined ? undefined : { container, snapshot };
}

export function snapshotRefName({ container, snapshot }: SnapshotName): string {
  return `${container}@${snapshot}`;
}

/**
 * The refs of a container's snapshots by their short names, in the order that people count in: snap2 before snap10.
 *
 * @throws {StoreError} FORMAT_INVALID if one is damaged: whoever moves or removes all must know all
 */
export async function snapshotsOf(
  store: Store,
  container: string,
): Promise<readonly (readonly [snapshot: string, ref: LayerRef])[]> {
  const found: [string, LayerRef][] = [];
  for (const [name, ref] of await store.refs.list(raise, `${container}@`))
    if (ref.type === "layer") found.push([name.slice(container.length + 1), ref]);
  return found.sort(([a], [b]) => compareSnapshots(a, b));
}

export function compareSnapshots(a: string, b: string): number {
  return compareNumerically(a, b) || (a < b ? -1 : 1);
}

/** The container that a ref is a snapshot of, if that is still there. */
export function snapshotOwner(store: Store, name: string): { name: string; ref: ContainerRef } | undefined {
  const container = parseSnapshotName(name)?.container;
  const ref: Ref | undefined = container === undefined ? undefined : store.refs.find(container);
  return container === undefined || ref?.type !== "container" ? undefined : { name: container, ref };
}

/** What a container shows, and what it stands on. */
export type ContainerOrigin = Pick<ContainerRef, "base" | "lower" | "tree">;

/** What a container begins as, or goes back to, that is to be as its snapshot: it stands on what it stood on then. */
export function snapshotOrigin(
  store: Store,
  { parent, tree }: Layer,
  owner: ContainerRef | undefined,
): ContainerOrigin {
  if (parent !== null) return { base: parent, lower: store.refs.layer(parent).tree, tree };
  return { base: owner?.base ?? null, lower: owner?.lower ?? tree, tree };
}

/** @param what happened meanwhile, for people */
export async function noSnapshot(store: Store, name: SnapshotName, what = ""): Promise<StoreError<"NOT_FOUND">> {
  const known = (await snapshotsOf(store, name.container)).map(([snapshot]) => snapshot);
  const shown = known.length > MOST_SHOWN ? ["…", ...known.slice(-MOST_SHOWN)] : known;
  const has = known.length === 0 ? "has none" : `has: ${shown.join(", ")}`;
  return new StoreError("NOT_FOUND", { what: `${name.container} has no snapshot "${name.snapshot}" (${has})${what}` });
}

const MOST_SHOWN = 20;

export interface SnapshotItem {
  readonly snapshot: string;
  /** `CONTAINER@SNAPSHOT`. */
  readonly ref: string;
  readonly created: string;
  readonly message: string;
  readonly digest: Digest;
  readonly files: number;
  readonly sizeBytes: number;
  /** `retain` does not remove it. */
  readonly pinned: boolean;
}

export async function describeSnapshots(store: Store, container: string): Promise<SnapshotItem[]> {
  const snapshots = await snapshotsOf(store, container);
  return snapshots.map(([snapshot, ref]) => {
    const { created, message, tree } = store.refs.layer(ref.layer);
    const { entries: files, bytes: sizeBytes } = store.trees.tree(tree).root.listing;
    return {
      snapshot,
      ref: snapshotRefName({ container, snapshot }),
      created,
      message,
      digest: tree,
      files,
      sizeBytes,
      pinned: ref.pinned === true,
    };
  });
}

function raise(_name: string, error: StoreError): never {
  throw error;
}
