import { statfsSync } from "node:fs";
import type { StatsFs } from "node:fs";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { ContainerView } from "../overlay/container-view.ts";
import type { Draft } from "../overlay/draft.ts";
import { processUmask } from "../sys/umask.ts";
import { changeContainer } from "./change-container.ts";
import { refuseRunning } from "./container-state.ts";
import type { Settled } from "./container-state.ts";
import type { Context } from "./context.ts";
import { resolveRef } from "./references.ts";
import { settle } from "./settle.ts";

/** What is changed of a tree. It is nobody's until somebody makes it that. */
export class TreeDraft implements AsyncDisposable {
  /** As the store's owner: all is permitted, and what is made is root's. */
  readonly view: ContainerView;
  readonly #draft: Draft;

  protected constructor(context: Context, draft: Draft) {
    const space = (): StatsFs => statfsSync(context.store.paths.directory);
    this.view = new ContainerView(draft, { umask: processUmask(), space });
    this.#draft = draft;
  }

  static async of(context: Context, tree: Digest): Promise<TreeDraft> {
    return new TreeDraft(context, await context.store.uppers.draft(tree));
  }

  /** What it is by now. */
  async freeze(): Promise<Digest> {
    return await this.#draft.freeze();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.view[Symbol.asyncDispose]();
  }
}

/** What one command changes in a container: it becomes the container's at once and as a whole, or nothing of it does. */
export class ContainerDraft extends TreeDraft {
  readonly name: string;
  readonly #context: Context;
  readonly #before: Settled;

  private constructor(context: Context, name: string, before: Settled, draft: Draft) {
    super(context, draft);
    this.name = name;
    this.#context = context;
    this.#before = before;
  }

  /** @throws as `settleStopped` */
  static async open(context: Context, name: string): Promise<ContainerDraft> {
    return await ContainerDraft.over(context, name, await settleStopped(context, name));
  }

  /** Over a container as it was settled. */
  static async over(context: Context, name: string, before: Settled): Promise<ContainerDraft> {
    return new ContainerDraft(context, name, before, await context.store.uppers.draft(before.ref.tree));
  }

  /** @throws as `recordTree` */
  async record(tree: Digest): Promise<void> {
    await recordTree(this.#context, this.name, this.#before, tree);
  }
}

/**
 * A container that can be changed, as it is now.
 *
 * @throws {StoreError} NOT_FOUND, REFUSED while it runs, USAGE for what is no container
 */
export async function settleStopped(context: Context, name: string): Promise<Settled> {
  const resolved = await resolveRef(context.store, name);
  if (resolved.kind !== "container")
    throw new StoreError("USAGE", {
      reason: `"${name}" is a ${resolved.kind}, which never changes`,
      hint: `make a container of it: delta0 clone ${name} NEW`,
    });
  const settled = await settle(context, name, resolved.ref);
  refuseRunning(name, settled.state, settled.ref.lxcPath);
  return settled;
}

/** Makes a tree the container's. @throws {StoreError} REFUSED if it was started, or changed otherwise, since `before` */
export async function recordTree(context: Context, name: string, before: Settled, tree: Digest): Promise<void> {
  if (tree === before.ref.tree) return;
  await changeContainer(context, { name, before, after: { ...before.ref, tree } });
}
