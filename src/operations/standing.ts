import type { ContainerRef, Layer } from "../containers/records.ts";
import { layerDigest } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import { chooseStack } from "../exports/choose-stack.ts";
import { mapOf } from "../exports/export-key.ts";
import { hasMap, treeOfStack } from "../exports/export-stack.ts";
import type { ExportStack } from "../exports/export-stack.ts";
import { changeSize, SMALL } from "../exports/near-trees.ts";
import { getValue } from "../lxc/config-file.ts";
import type { ContainerDirectory, OwnDirectory } from "../lxc/container-directory.ts";
import { formatRootfsPath } from "../lxc/rootfs-path.ts";
import type { Digest } from "../model/digest.ts";
import { displayName } from "../model/name.ts";
import type { Store } from "../store.ts";

/** What a container's LXC directory stands on, if that is of this store. */
export function standsOn(store: Store, found: ContainerDirectory | undefined): ExportStack | undefined {
  return found?.type === "container" ? store.exports.stackOf(found.rootfs.lowers) : undefined;
}

/** What a container is, as far as that says what it can stand on. */
type Standing = Pick<ContainerRef, "base" | "lower" | "tree" | "idMap">;

export interface NewStanding {
  readonly lxcPath: string;
  /** What the container that it is made from stands on. */
  readonly original?: ExportStack | undefined;
  /** Those that the store does not have yet. */
  readonly layers?: readonly Layer[];
}

/**
 * What a new container is to stand on: where it differs little from that, what its original stands on, or its lower. Else what it is
 * itself: its changes are written once then, for all that are as it is, and not into each one's own delta.
 */
export function standingOfNew(store: Store, of: Standing, options: NewStanding): ExportStack {
  const { lxcPath, layers = [] } = options;
  const { lower, tree, idMap } = of;
  const original = options.original && hasMap(options.original, idMap) ? options.original : undefined;
  // As long as any name can be.
  const upper = `${lxcPath}/${"x".repeat(64)}/delta0`;
  const fits = (stack: ExportStack): boolean => canBeMounted(store, stack, upper);
  if (original !== undefined && differsLittle(store, treeOfStack(original), tree) && fits(original)) return original;
  const present = store.exports.present();
  const lineage = function* (): Generator<ExportStack> {
    if (original !== undefined) yield original;
    for (const ancestor of [lower, ...ancestors(store, of.base, layers)]) {
      const stack = present.find(ancestor, mapOf(idMap));
      if (stack !== undefined) yield stack;
    }
    yield* present.stacks({ of: mapOf(idMap) });
  };
  const wanted = differsLittle(store, lower, tree) ? lower : tree;
  return chooseStack(store.trees, present, { tree: wanted, idMap, near: lineage(), fits });
}

export interface ChangedStanding {
  readonly before: Pick<ContainerRef, "lower">;
  readonly after: Standing;
  readonly layers: readonly Layer[];
}

/** What a container that was changed is to stand on: what it did, unless it is to have no changes any more, or another lower. */
export function standingOfChanged(
  store: Store,
  found: OwnDirectory,
  { before, after, layers }: ChangedStanding,
): ExportStack {
  const { lower, tree, idMap } = after;
  const now = standsOn(store, found);
  const usable = now !== undefined && hasMap(now, idMap) ? now : undefined;
  if (usable !== undefined && (tree === lower ? treeOfStack(usable) === tree : before.lower === lower)) return usable;
  const present = store.exports.present();
  const options = getValue(found.config, "lxc.rootfs.options");
  const lineage = function* (): Generator<ExportStack> {
    if (usable !== undefined && usable.every((key) => store.exports.isThere(key))) yield usable;
    for (const ancestor of ancestors(store, after.base, layers)) {
      const stack = present.find(ancestor, mapOf(idMap));
      if (stack !== undefined) yield stack;
    }
  };
  const fits = (stack: ExportStack): boolean => canBeMounted(store, stack, found.rootfs.upper, options);
  return chooseStack(store.trees, present, { tree: lower, idMap, near: lineage(), fits });
}

/** @throws {StoreError} REFUSED if one of a stack's exports is known to have been changed */
export function refuseChanged(store: Store, stack: ExportStack, what: string): void {
  for (const key of stack) {
    const change = store.exports.knownChange(key);
    if (change === undefined) continue;
    const [first = "", ...others] = change.examples.map(displayName);
    const more = change.count > 1 ? ` and ${change.count - 1} more` : "";
    throw new StoreError("REFUSED", {
      reason: `export of ${what} was changed from outside (${others.length === 0 && change.count === 1 ? first : `${first}${more}`})`,
      hint: "have it as it was: delta0 exports --repair",
    });
  }
}

function differsLittle({ trees }: Store, before: Digest, after: Digest): boolean {
  return before === after || changeSize(trees, before, after, SMALL) !== undefined;
}

/** The trees of a layer and of those that it was made from, the nearest first. */
function* ancestors(store: Store, base: Digest | null, layers: readonly Layer[]): Generator<Digest> {
  const own = new Map(layers.map((layer) => [layerDigest(layer), layer]));
  let digest = base;
  for (let i = 0; i < MOST_ANCESTORS && digest !== null; i++) {
    const layer: Layer = own.get(digest) ?? store.refs.layer(digest);
    yield layer.tree;
    digest = layer.parent;
  }
}

const MOST_ANCESTORS = 32;

/** With room for what the user adds to the mount's options. */
function canBeMounted(store: Store, stack: ExportStack, upper: string, options = ""): boolean {
  try {
    formatRootfsPath({ lowers: store.exports.pathsOf(stack), upper }, options.padEnd(ROOM_FOR_OPTIONS_BYTES));
    return true;
  } catch (error) {
    if (error instanceof StoreError) return false;
    throw error;
  }
}

const ROOM_FOR_OPTIONS_BYTES = 256;

/** Which exports a container with an LXC directory would stand on if it got one now. */
export function standingOf(store: Store, ref: Standing, lxcPath: string, found?: ContainerDirectory): ExportStack {
  const now = standsOn(store, found);
  return now !== undefined && hasMap(now, ref.idMap) ? now : standingOfNew(store, ref, { lxcPath });
}

/**
 * As `refuseChanged`, but looks: a walk takes some ms for a thousand entries.
 *
 * @throws {StoreError} REFUSED
 */
export function requireUnchanged(store: Store, stack: ExportStack, what: string): void {
  for (const key of stack) if (store.exports.isThere(key)) store.exports.check(key);
  refuseChanged(store, stack, what);
}
