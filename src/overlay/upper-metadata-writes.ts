import type { Owned } from "./credentials.ts";
import { byteStringOf } from "../model/name.ts";
import { afterChmod, afterChown, mayChmod, mayChown, mayUtimes } from "./permissions.ts";
import { now, pathOf } from "./upper-session.ts";
import { ownedOf } from "./credentials.ts";
import type { UpperSession } from "./upper-session.ts";
import type { FileTime, Target, Writes } from "./writes.ts";
import { afterRemovexattr, afterSetxattr, flawOfXattr, mayRemovexattr, maySetxattr } from "./xattr-permissions.ts";

/** Calls that change a file's inode, and neither names nor bytes. */
export class UpperMetadataWrites implements Pick<Writes, "chmod" | "chown" | "utimes" | "setxattr" | "removexattr"> {
  readonly #session: UpperSession;

  constructor(session: UpperSession) {
    this.#session = session;
  }

  chmod(target: Target, mode: number): Promise<void> {
    const { caller } = this.#session;
    return this.#change(
      target,
      isOpen(target) ? "fchmod" : "chmod",
      (node) => mayChmod(caller, node),
      (node) => afterChmod(caller, node, mode),
    );
  }

  chown(target: Target, uid: number, gid: number): Promise<void> {
    const { caller } = this.#session;
    const syscall = isOpen(target) ? "fchown" : target.follow ? "chown" : "lchown";
    const [owner, group] = [uid, gid].map((id) => (id === NO_ID ? -1 : id)) as [number, number];
    return this.#change(
      target,
      syscall,
      (node) => mayChown(caller, node, owner, group),
      (node) => afterChown(caller, node, owner, group),
    );
  }

  async utimes(target: Target, mtime: FileTime): Promise<void> {
    const session = this.#session;
    const syscall = isOpen(target) ? "futime" : target.follow ? "utime" : "lutime";
    const path = pathOf(target);
    await session.change(syscall, path, () => {
      const entry = session.entry(target, syscall);
      session.allow(mayUtimes(session.caller, ownedOf(entry), mtime === "now"), syscall, path);
      session.upper.begin();
      const node = session.upper.copyUp(entry);
      const time = mtime === "now" ? now() : { mtimeSec: mtime.sec, mtimeNsec: mtime.nsec };
      node.attributes = { ...node.attributes, ...time };
      session.upper.save(node);
    });
  }

  setxattr(target: Target, name: string, value: Uint8Array, flag?: "create" | "replace"): Promise<void> {
    const { caller } = this.#session;
    const bytes = byteStringOf(name);
    return this.#change(
      target,
      syscallOf(target, "setxattr"),
      (node) => maySetxattr(caller, node, bytes, value, flag),
      (node) => afterSetxattr(caller, node, bytes, Uint8Array.from(value)),
      flawOfXattr(bytes, value),
    );
  }

  removexattr(target: Target, name: string): Promise<void> {
    const { caller } = this.#session;
    const bytes = byteStringOf(name);
    return this.#change(
      target,
      syscallOf(target, "removexattr"),
      (node) => mayRemovexattr(caller, node, bytes),
      (node) => afterRemovexattr(node, bytes),
      flawOfXattr(bytes),
    );
  }

  /** @param flaw what the call fails with before it looks at the file */
  #change(
    target: Target,
    syscall: string,
    refusal: (node: Owned) => string | undefined,
    changed: (node: Owned) => Owned,
    flaw?: string,
  ): Promise<void> {
    const session = this.#session;
    const path = pathOf(target);
    return session.change(syscall, path, () => {
      session.allow(flaw, syscall, path);
      const entry = session.entry(target, syscall);
      session.allow(refusal(ownedOf(entry)), syscall, path);
      session.upper.begin();
      const node = session.upper.copyUp(entry);
      session.setOwned(node, changed(ownedOf(node)));
      session.upper.save(node);
    });
  }
}

/** (uid_t) -1 */
const NO_ID = 2 ** 32 - 1;

function isOpen(target: Target): target is Extract<Target, { entry: unknown }> {
  return "entry" in target;
}

function syscallOf(target: Target, call: "setxattr" | "removexattr"): string {
  if (isOpen(target)) return `f${call}`;
  return target.follow ? call : `l${call}`;
}
