import type { ContainerRef } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import { withOwnIdentity } from "../lxc/clone-config.ts";
import { getValue, writeConfig } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import { IDENTITIES } from "../lxc/identity.ts";
import type { Identity } from "../lxc/identity.ts";
import type { Digest } from "../model/digest.ts";
import { TreeView } from "../overlay/tree-view.ts";
import type { Store } from "../store.ts";
import { changeContainer } from "./change-container.ts";
import { settleStopped, TreeDraft } from "./container-draft.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { hasIdentity, isOtherMachine, renewIdentity } from "./identity-files.ts";
import { directoryOf } from "./lxc-host.ts";
import type { ContainerOrigin } from "./snapshots.ts";

/** What containers that are made get: both, or with "config" host name and addresses of their LXC config alone. */
export type GivenIdentity = Identity | "config";

/** @param given default: the store's setting, else new. @throws {StoreError} USAGE */
export function identityFor(store: Store, given: GivenIdentity | undefined): GivenIdentity {
  const identity = given ?? store.settings.find("identity") ?? "new";
  return identity === "config" ? identity : parseIdentity(identity);
}

/** @throws {StoreError} USAGE */
export function parseIdentity(text: string): Identity {
  const identity = IDENTITIES.find((known) => known === text);
  if (identity !== undefined) return identity;
  throw new StoreError("USAGE", { reason: `"${text}" is no identity`, hint: `there are: ${IDENTITIES.join(", ")}` });
}

/** Whether a container has to be given an identity at its first start: a tree that holds none is any machine's. */
export function isIdentityPending(
  store: Store,
  identity: GivenIdentity,
  lxcPath: string | null,
  tree: Digest,
): boolean {
  return identity === "new" && lxcPath !== null && hasIdentity(viewOf(store, tree));
}

/** Whether a container that goes back to an origin would lose the identity that it was given, and be its base's machine again. */
export function losesIdentity(store: Store, ref: ContainerRef, { lower, tree }: ContainerOrigin): boolean {
  if (ref.lxcPath === null) return false;
  const base = viewOf(store, lower);
  return isOtherMachine(base, viewOf(store, ref.tree)) && !isOtherMachine(base, viewOf(store, tree));
}

/**
 * Gives a container that is about to start the identity that it waits for. Its directory is not touched.
 *
 * @param config says its host name
 */
export async function applyIdentity(
  context: Context,
  name: string,
  ref: ContainerRef,
  config: ConfigFile,
): Promise<ContainerRef> {
  const tree = await treeWithIdentity(context, name, ref.tree, config);
  const after = { ...ref, tree, identityPending: false, generation: ref.generation + 1 };
  await context.store.change(context, [{ name, before: ref, after, byItself: true }]);
  return after;
}

/**
 * A tree as a machine of its own.
 *
 * @param config says its host name
 */
export async function treeWithIdentity(
  context: Context,
  name: string,
  tree: Digest,
  config: ConfigFile,
): Promise<Digest> {
  await using draft = await TreeDraft.of(context, tree);
  const left = await renewIdentity(draft.view, getValue(config, "lxc.uts.name") ?? name);
  for (const what of left) warn(context, `${name}: ${what}`);
  return await draft.freeze();
}

export interface IdentityRenewed {
  readonly name: string;
  /** False if its filesystem holds none: then host name and addresses in its config are all there is. */
  readonly atNextStart: boolean;
}

/**
 * Makes a stopped container a machine of its own: its config now, its files at its next start.
 *
 * @throws {StoreError} NOT_FOUND; REFUSED while it runs, and for one without an LXC directory of ours
 */
export async function identity(context: Context, { name }: { readonly name: string }): Promise<IdentityRenewed> {
  using _operation = context.store.begin();
  const { store } = context;
  const before = await settleStopped(context, name);
  const { ref, state } = before;
  const directory = directoryOf(name, ref);
  const found = directory === undefined ? undefined : readContainerDirectory(directory);
  if (directory === undefined || found?.type !== "container" || state !== "stopped")
    throw new StoreError("REFUSED", {
      reason: `${name} has no LXC directory${state === "stored" ? "" : ` of this store's: it is ${state}`}`,
      hint: `clone it to a container that has one: delta0 clone ${name} NEW`,
    });
  const identityPending = isIdentityPending(store, "new", ref.lxcPath, ref.tree);
  if (identityPending && !ref.identityPending)
    await changeContainer(context, { name, before, after: { ...ref, identityPending } });
  const after = readContainerDirectory(directory);
  if (after.type === "container") writeConfig(`${directory}/config`, withOwnIdentity(after.config, name));
  return { name, atNextStart: identityPending };
}

function viewOf({ lowers, blocks }: Store, tree: Digest): TreeView {
  return TreeView.of(lowers.get(tree), blocks);
}
