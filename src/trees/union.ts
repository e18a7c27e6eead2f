import type { LinkGroup } from "../model/change.ts";
import { joinPath, ROOT, splitPath } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import type { DirectoryNode, Node } from "../model/node.ts";
import type { PackedNode } from "./packed-nodes.ts";
import type { Tree, TreeStore } from "./tree-store.ts";

/** A file of the stream that may have several names: a slot for each. */
export interface Shared {
  readonly type: "shared";
  readonly node: PackedNode;
  /** Filled in at the end: until then a name can still be covered. */
  names: TreePath[];
}

/** A directory that the stream went through: its entries lie over those of the base's directory it merges with. */
export interface Touched {
  readonly type: "touched";
  /** It was put, or something was put below it. Whiteouts alone make no directory. */
  exists: boolean;
  /** The base's entry of this path does not show. */
  hidden: boolean;
  /** The entries of the base's directory do not show; its metadata does if the stream gave none. */
  opaque: boolean;
  /** The base's directory to merge with, instead of that of this path. */
  redirect: TreePath | undefined;
  /** A directory without entries. */
  metadata: PackedNode | undefined;
  /** What the result has of it, once it is written. */
  written: PackedNode | undefined;
  /** To be changed by `setEntry`. */
  entries: ReadonlyMap<Name, Slot>;
}

/** A whiteout over an entry of the base. */
export const HIDDEN = { type: "hidden" } as const;
/** A number is that of a node that is no directory, and has no other names yet. */
export type Slot = PackedNode | Shared | Touched | typeof HIDDEN;

export function touched(hidden: boolean): Touched {
  return {
    type: "touched",
    exists: false,
    hidden,
    opaque: false,
    redirect: undefined,
    metadata: undefined,
    written: undefined,
    entries: NO_ENTRIES,
  };
}

/** An empty Map takes 200 bytes, and most directories that a hostile archive has are empty. */
export const NO_ENTRIES: ReadonlyMap<Name, Slot> = new Map();

export function setEntry(directory: Touched, name: Name, slot: Slot): void {
  if (directory.entries === NO_ENTRIES) directory.entries = new Map();
  (directory.entries as Map<Name, Slot>).set(name, slot);
}

export function isTouched(slot: Slot | undefined): slot is Touched {
  return typeof slot === "object" && slot.type === "touched";
}

/** A directory of the base. One object for each, however often it is come upon. */
export interface Lower {
  readonly path: TreePath;
  readonly node: DirectoryNode;
  readonly below: Map<Name, Lower | undefined>;
}

/** What stands where in the union: the stream's directory, and the base's whose entries show below it. */
export interface Place {
  readonly directory: Touched | undefined;
  readonly lower: Lower | undefined;
}

/** A directory of the stream in the result. */
export interface Placed {
  readonly path: TreePath;
  readonly directory: Touched;
  /** The base's directory that it merges with; whose entries do not show if it is opaque. */
  readonly lower: Lower | undefined;
}

/**
 * What the stream put, over the base.
 *
 * Which directory of the base shows where is not known before the stream's end, as whiteouts, opaque marks and redirects
 * may come after what lies below them. So it is worked out from the root down when it is asked for.
 */
export class Union {
  readonly root: Touched = { ...touched(false), exists: true };
  readonly #store: TreeStore;
  readonly #baseRoot: Lower | undefined;

  constructor(store: TreeStore, base: Tree | undefined) {
    this.#store = store;
    this.#baseRoot = base && { path: ROOT, node: base.root, below: new Map() };
  }

  /** The directory of the base at `path`. */
  baseDirectory(path: TreePath): Lower | undefined {
    let at = this.#baseRoot;
    for (const name of splitPath(path)) at = this.#below(at, name);
    return at;
  }

  /** What the root and each of `names` lead to; both sides are undefined where there is no directory. */
  resolve(names: readonly Name[]): Place {
    let lower = this.#lowerOf(this.root, undefined, undefined);
    let directory: Touched | undefined = this.root;
    for (const name of names) {
      const slot: Slot | undefined = directory?.entries.get(name);
      if (directory?.opaque) lower = undefined;
      if (slot === undefined) lower = this.#below(lower, name);
      else if (isTouched(slot)) lower = this.#lowerOf(slot, lower, name);
      else return NOWHERE;
      directory = slot;
    }
    return { directory, lower: directory?.opaque ? undefined : lower };
  }

  /** The base's entry `name` of a place, whatever the stream put over it. */
  inBase(place: Place, name: Name): Node | undefined {
    return place.lower && this.#store.find(place.lower.node.listing, name);
  }

  /** True if there is a directory, and not just the way of a whiteout. */
  shows(directory: Touched, place: Place, name: Name): boolean {
    return directory.exists || this.#lowerOf(directory, place.lower, name) !== undefined;
  }

  /** All directories of the stream that the result has, each before those below it. Takes what it has not out. */
  place(): Placed[] {
    const placed: Placed[] = [
      { path: ROOT, directory: this.root, lower: this.#lowerOf(this.root, undefined, undefined) },
    ];
    // It grows while it is walked; no recursion, since trees may be deeper than the call stack.
    for (const { path, directory, lower } of placed) {
      const shown = directory.opaque ? undefined : lower;
      for (const [name, slot] of directory.entries) {
        if (!isTouched(slot)) continue;
        const below = this.#lowerOf(slot, shown, name);
        if (slot.exists || below !== undefined)
          placed.push({ path: joinPath(path, name), directory: slot, lower: below });
        else if (slot.hidden) setEntry(directory, name, HIDDEN);
        else (directory.entries as Map<Name, Slot>).delete(name);
      }
    }
    return placed;
  }

  /** @param above the base's directory whose entries show above it */
  #lowerOf(directory: Touched, above: Lower | undefined, name: Name | undefined): Lower | undefined {
    if (directory.redirect !== undefined) return this.baseDirectory(directory.redirect);
    if (directory.hidden) return undefined;
    return name === undefined ? this.#baseRoot : this.#below(above, name);
  }

  #below(above: Lower | undefined, name: Name): Lower | undefined {
    if (above === undefined || above.below.has(name)) return above?.below.get(name);
    const node = this.#store.find(above.node.listing, name);
    const lower: Lower | undefined =
      node?.type === "directory" ? { path: joinPath(above.path, name), node, below: new Map() } : undefined;
    above.below.set(name, lower);
    return lower;
  }
}

const NOWHERE: Place = { directory: undefined, lower: undefined };

/**
 * Tells where names of the base show in the result: nowhere if the stream covered them, elsewhere if a redirect leads there.
 *
 * @param names in the base; the paths that come back are the result's
 */
export function shownNames(baseRoot: Lower | undefined, placed: readonly Placed[]): (names: LinkGroup) => TreePath[] {
  const showing = new Map<Lower, Placed[]>();
  for (const each of placed) {
    if (each.lower === undefined || each.directory.opaque) continue;
    const others = showing.get(each.lower);
    if (others) others.push(each);
    else showing.set(each.lower, [each]);
  }
  return (names) => names.flatMap((path) => [...shownAt(baseRoot, showing, path)]);
}

function* shownAt(
  baseRoot: Lower | undefined,
  showing: ReadonlyMap<Lower, Placed[]>,
  path: TreePath,
): Generator<TreePath> {
  let at = baseRoot;
  let rest = 0;
  for (const name of splitPath(path)) {
    if (at === undefined) return;
    for (const { path: above, directory } of showing.get(at) ?? []) {
      if (!directory.entries.has(name)) yield joinPath(above, path.slice(rest));
    }
    rest += name.length + 1;
    at = at.below.get(name);
  }
}
