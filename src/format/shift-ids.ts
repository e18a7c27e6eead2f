import type { Change, RawChange } from "../model/change.ts";
import { containerId, hostId } from "../model/id-map.ts";
import type { IdMap, IdRange } from "../model/id-map.ts";
import type { TreePath } from "../model/name.ts";
import type { Metadata, NodeType, Xattr } from "../model/node.ts";
import { ACCESS_ACL, decodeAcl, DEFAULT_ACL, encodeAcl, isNamed, sortedAcl, USER } from "./acl.ts";
import { capabilityRoot, withCapabilityRoot } from "./capability.ts";

/**
 * Trees hold ids as they are inside a container. On the disk of a host the files of one with an id map have others: their owners, the
 * named users and groups in their ACLs, and the root user that file capabilities are for. Going out and in again changes nothing.
 *
 * An id that is not mapped is a loss: what it owns is nobody's, as in the container, and no set-id program any more; its ACL entry and its
 * capabilities are dropped.
 *
 * @param path of the node, with the xattr's name in `detail` for an xattr
 */
export type OnIdLoss = (kind: "owner" | "mode" | "xattr", path: TreePath, detail?: string) => void;

/** Changes as they are written to a host. Lazy. */
export function* shiftedOut(changes: Iterable<Change>, map: IdMap, onLoss: OnIdLoss): Generator<Change> {
  const before = new Shift(OUT, map, () => undefined);
  const after = new Shift(OUT, map, onLoss);
  for (const change of changes) {
    yield {
      ...change,
      before: change.before && before.node(change.path, change.before),
      after: change.after && after.node(change.path, change.after),
    };
  }
}

/** Changes as they are read from a host, overlayfs's marks already told from xattrs. */
export function shiftedIn(map: IdMap, onLoss: OnIdLoss): (change: RawChange) => RawChange {
  const shift = new Shift(IN, map, onLoss);
  return (change) => (change.kind === "put" ? { ...change, node: shift.node(change.path, change.node) } : change);
}

interface Direction {
  readonly idOf: (ranges: readonly IdRange[], id: number) => number | undefined;
  /** Whose is what has no id. */
  readonly nobodyOf: (ranges: readonly IdRange[]) => number;
}

/** The kernel's overflow id, which is what unmapped ids look like in a container. */
const NOBODY = 65534;
const OUT: Direction = {
  idOf: hostId,
  // Never root of the host: whatever stays of it must not be more than the container could make.
  nobodyOf: (ranges) => hostId(ranges, NOBODY) ?? hostId(ranges, 0) ?? NOBODY,
};
const IN: Direction = { idOf: containerId, nobodyOf: () => NOBODY };
const SET_ID = 0o6000;

class Shift {
  readonly #direction: Direction;
  readonly #map: IdMap;
  readonly #onLoss: OnIdLoss;

  constructor(direction: Direction, map: IdMap, onLoss: OnIdLoss) {
    this.#direction = direction;
    this.#map = map;
    this.#onLoss = onLoss;
  }

  node<N extends Metadata & { readonly type: NodeType }>(path: TreePath, node: N): N {
    const { uids, gids } = this.#map;
    const [uid, gid] = [this.#id(uids, node.uid), this.#id(gids, node.gid)];
    let { mode } = node;
    if (uid === undefined || gid === undefined) {
      this.#onLoss("owner", path);
      if (node.type !== "directory") mode &= ~SET_ID;
      if (mode !== node.mode) this.#onLoss("mode", path);
    }
    const { nobodyOf } = this.#direction;
    const xattrs = node.xattrs.length === 0 ? node.xattrs : node.xattrs.flatMap((xattr) => this.#xattr(path, xattr));
    return { ...node, mode, uid: uid ?? nobodyOf(uids), gid: gid ?? nobodyOf(gids), xattrs };
  }

  #id(ranges: readonly IdRange[], id: number): number | undefined {
    return this.#direction.idOf(ranges, id);
  }

  #xattr(path: TreePath, xattr: Xattr): Xattr | readonly [] {
    const { name, value } = xattr;
    if (name === ACCESS_ACL || name === DEFAULT_ACL) return { name, value: this.#acl(path, xattr) };
    if (name !== CAPABILITY) return xattr;
    const root = capabilityRoot(value);
    if (root === undefined) return xattr;
    const shifted = this.#id(this.#map.uids, root);
    if (shifted !== undefined) return { name, value: withCapabilityRoot(value, shifted) };
    this.#onLoss("xattr", path, name);
    return [];
  }

  #acl(path: TreePath, { name, value }: Xattr): Uint8Array {
    const acl = decodeAcl(value);
    if (typeof acl === "string" || acl.length === 0) return value;
    const shifted = acl.flatMap((entry) => {
      if (!isNamed(entry.tag)) return entry;
      const id = this.#id(entry.tag === USER ? this.#map.uids : this.#map.gids, entry.id);
      return id === undefined ? [] : { ...entry, id };
    });
    if (shifted.length < acl.length) this.#onLoss("xattr", path, name);
    return encodeAcl(sortedAcl(shifted));
  }
}

const CAPABILITY = "security.capability";
