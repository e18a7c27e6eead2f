import { StoreError } from "../errors.ts";
import type { ContainerRef } from "../containers/records.ts";
import type { Digest } from "../model/digest.ts";
import { changeContainer } from "./change-container.ts";
import { refuseRunning } from "./container-state.ts";
import type { Context } from "./context.ts";
import { losesIdentity } from "./identity.ts";
import { requireContainer } from "./references.ts";
import { findPast, parsePastName } from "./past.ts";
import type { PastName } from "./past.ts";
import { settle } from "./settle.ts";
import { noSnapshot, snapshotOrigin, snapshotRefName } from "./snapshots.ts";
import type { ContainerOrigin } from "./snapshots.ts";

export interface RollbackParams {
  /** The container's. */
  readonly name: string;
  /** A snapshot, or `@{N}`: N changes of it back. */
  readonly snapshot: string;
}

export interface Restored {
  readonly name: string;
  readonly digest: Digest;
  /** What it was until now, captured where it had not been: a ref to have it back by. */
  readonly previousDigest: Digest;
}

/**
 * Makes a container what it was at a snapshot, standing on what it stood on then. All its snapshots stay, newer ones too.
 *
 * @throws {StoreError} NOT_FOUND for a snapshot that there is not, REFUSED while it runs: nothing was changed
 */
export async function rollback(context: Context, { name, snapshot }: RollbackParams): Promise<Restored> {
  using _operation = context.store.begin();
  const { refs } = context.store;
  const container = await requireContainer(context.store, name);
  const past = parsePastName(snapshot.startsWith("@{") ? `${name}${snapshot}` : snapshot);
  if (past?.name === name) return await rollbackTo(context, past, container);
  const ref = refs.find(snapshotRefName({ container: name, snapshot }));
  if (ref?.type !== "layer")
    throw await noSnapshot(context.store, { container: name, snapshot }, "; nothing was changed");
  const layer = refs.layer(ref.layer);
  return await restore(context, name, (container) => snapshotOrigin(context.store, layer, container));
}

/** Steps back are counted from what it is now, which is captured first. */
async function rollbackTo(context: Context, past: PastName, container: ContainerRef): Promise<Restored> {
  await settle(context, past.name, container);
  const { ref } = (await findPast(context.store, past)) ?? { ref: container };
  if (ref.type === "container") return await restore(context, past.name, () => ref);
  throw new StoreError("NOT_FOUND", { what: `${past.name}@{${past.steps}} was a layer; nothing was changed` });
}

/** Drops all that a container changed: it is its base again. @throws {StoreError} REFUSED while it runs */
export async function reset(context: Context, { name }: { readonly name: string }): Promise<Restored> {
  using _operation = context.store.begin();
  return await restore(context, name, ({ base, lower }) => ({ base, lower, tree: lower }));
}

async function restore(
  context: Context,
  name: string,
  originOf: (container: ContainerRef) => ContainerOrigin,
): Promise<Restored> {
  const container = await requireContainer(context.store, name);
  const before = await settle(context, name, container);
  refuseRunning(name, before.state, before.ref.lxcPath);
  const origin = originOf(before.ref);
  const identityPending = before.ref.identityPending || losesIdentity(context.store, before.ref, origin);
  const { base, lower, tree } = origin;
  const after = { ...before.ref, base, lower, tree, identityPending };
  await changeContainer(context, { name, before, after, isReadyFirst: true });
  return { name, digest: origin.tree, previousDigest: before.ref.tree };
}
