import { statfsSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import { escapeXattr } from "../format/overlay-xattrs.ts";
import type { Dialect } from "../format/overlay-xattrs.ts";
import type { TreePath } from "../model/name.ts";
import type { Metadata, Node, Xattr } from "../model/node.ts";
import type { Settable } from "./settable.ts";
import type { LossKind, LossTally } from "./written.ts";

/** How a tree is to be written. */
export interface Rules {
  /** Owners, devices and privileged xattrs are not tried. */
  readonly asUser: boolean;
  /** The directory will be a layer of an overlay mount of this dialect: what would be a mark there is escaped. */
  readonly overlay: Dialect | undefined;
}

/** Sets nodes' metadata, and tallies what this process or the filesystem refuses. */
export class MetadataSetter {
  readonly #target: string;
  readonly #rules: Rules;
  readonly #losses: LossTally;
  readonly #omitted: LossTally;
  readonly #user = { uid: process.geteuid?.(), gid: process.getegid?.() };
  /** Once one time came back to the ns, all are trusted that every filesystem can hold. */
  #keepsNanoseconds = false;

  /** @param target the directory that is written to */
  constructor(target: string, rules: Rules, losses: LossTally, omitted: LossTally) {
    this.#target = target;
    this.#rules = rules;
    this.#losses = losses;
    this.#omitted = omitted;
  }

  /**
   * Sets all metadata of a node that is complete otherwise.
   *
   * The order matters. A new owner clears set-id bits and capabilities. Without privileges, `user.*` needs the write bit
   * that the mode may take away, and an ACL may clear the set-group-ID bit. Time comes last, though only writes move it.
   */
  set(node: Settable, wanted: Node, path: TreePath): void {
    const owned = this.#setOwner(node, wanted, path);
    for (const xattr of wanted.xattrs) this.#setXattr(node, xattr, path);
    if (wanted.type !== "symlink") this.#setMode(node, wanted, owned, path);
    this.#setTimes(node, wanted, path);
  }

  #setOwner(node: Settable, { uid, gid }: Metadata, path: TreePath): boolean {
    if (this.#rules.asUser) {
      const owned = uid === this.#user.uid && gid === this.#user.gid;
      if (!owned) this.#omitted.add("owner", path);
      return owned;
    }
    // EINVAL: an id that the user namespace does not map
    return this.#try(["EPERM", "EINVAL", "ENOTSUP"], "owner", path, () => node.setOwner(uid, gid));
  }

  #setXattr(node: Settable, { name, value }: Xattr, path: TreePath): void {
    if (this.#rules.asUser && /^(trusted|security)\./.test(name)) {
      this.#omitted.add("xattr", path, name);
      return;
    }
    const key = this.#rules.overlay === undefined ? name : escapeXattr(this.#rules.overlay, name);
    try {
      node.setXattr(key, value);
    } catch (error) {
      const code = errnoOf(error) ?? "";
      if (!XATTR_REFUSED.has(code) && !(code === "ENOSPC" && this.#hasSpace())) throw error;
      this.#losses.add("xattr", path, name);
    }
  }

  #setMode(node: Settable, { type, mode }: Node, owned: boolean, path: TreePath): void {
    // A program would be set to an owner whom its maker never meant. A directory runs nothing.
    const harmless = owned || type === "directory" ? mode : mode & ~SET_ID;
    if (harmless !== mode) (this.#rules.asUser ? this.#omitted : this.#losses).add("mode", path);
    this.#try(["EPERM", "ENOTSUP"], "mode", path, () => node.setMode(harmless));
  }

  #setTimes(node: Settable, { mtimeSec, mtimeNsec }: Metadata, path: TreePath): void {
    if (!this.#try(["EPERM", "EINVAL", "EOVERFLOW"], "time", path, () => node.setTimes(mtimeSec, mtimeNsec))) return;
    // Filesystems clamp and cut silently what they cannot hold.
    const common = mtimeSec >= -(2 ** 31) && mtimeSec < 2 ** 31 && (mtimeNsec === 0 || this.#keepsNanoseconds);
    if (common) return;
    const now = node.stat();
    if (now.mtimeSec !== mtimeSec || now.mtimeNsec !== mtimeNsec) this.#losses.add("time", path);
    else if (mtimeNsec !== 0) this.#keepsNanoseconds = true;
  }

  /** @returns false if it fails in a way that is a loss */
  #try(refusals: readonly string[], kind: LossKind, path: TreePath, act: () => void): boolean {
    try {
      act();
      return true;
    } catch (error) {
      if (!refusals.includes(errnoOf(error) ?? "")) throw error;
      this.#losses.add(kind, path);
      return false;
    }
  }

  /** ext4 says ENOSPC also of an attribute that is too large for it. */
  #hasSpace(): boolean {
    const { bavail, bsize } = statfsSync(this.#target);
    return bavail * bsize >= 1024 * 1024;
  }
}

const SET_ID = 0o6000;
const XATTR_REFUSED: ReadonlySet<string> = new Set([
  "EPERM",
  "EACCES",
  "ENOTSUP",
  "ERANGE",
  "E2BIG",
  "EINVAL",
  "ENAMETOOLONG",
]);
