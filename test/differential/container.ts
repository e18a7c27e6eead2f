import { create, importLayer, openContainer, openView, remove, show, capture } from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import type { Digest } from "../../src/model/digest.ts";
import { ROOT } from "../../src/model/name.ts";
import { writeDelta } from "../../src/sinks/delta.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import type { Snapshot } from "./operations.ts";
import { snapshotView, ViewSystem } from "./view-system.ts";

/** A container of the store, over a directory that was imported. */
export class Container implements AsyncDisposable {
  readonly #context: Context;
  readonly #name: string;
  readonly #base: Digest;

  private constructor(context: Context, name: string, base: Digest) {
    this.#context = context;
    this.#name = name;
    this.#base = base;
  }

  static async make(context: Context, name: string, directory: string): Promise<Container> {
    const { digest } = await importLayer(context, { source: directory, name: `${name}-base` });
    await create(context, { source: `${name}-base`, name, noLxc: true });
    return new Container(context, name, digest);
  }

  async open(): Promise<ViewSystem> {
    const [uid, gid] = [process.geteuid!(), process.getegid!()];
    const credentials = uid === 0 ? {} : { credentials: { uid, gid, groups: [] } };
    return new ViewSystem(await openContainer(this.#context, { name: this.#name, umask: 0, ...credentials }));
  }

  /** What its changes are once they are folded into a tree. */
  async frozen(): Promise<Snapshot> {
    return snapshotView(await openView(this.#context, { ref: this.#name }));
  }

  /** Writes what it changed of its base to a directory, for the kernel to mount. */
  async writeDelta(target: string): Promise<void> {
    const { store } = this.#context;
    const { digest } = await show(this.#context, { ref: this.#name });
    const [before, after] = [store.trees.tree(this.#base), store.trees.tree(digest)];
    const changes = [...diffTrees(store.trees, before, after, { parents: true })];
    const root = { path: ROOT, before: before.root, after: after.root };
    await writeDelta(target, changes.length > 0 ? changes : [root], store.content);
  }

  /** What another container over the same base is, once it has taken the upper directory of a mount. */
  async captured(upper: string): Promise<Snapshot> {
    const name = `${this.#name}-kernel`;
    await create(this.#context, { source: `${this.#name}-base`, name, noLxc: true });
    await capture(this.#context, { name, from: upper });
    const snapshot = await snapshotView(await openView(this.#context, { ref: name }));
    await remove(this.#context, { names: [name] });
    return snapshot;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await remove(this.#context, { names: [this.#name, `${this.#name}-base`] });
  }
}
