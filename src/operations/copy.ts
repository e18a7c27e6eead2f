import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { Turns } from "../sinks/turns.ts";
import { Store } from "../store.ts";
import { sentTrees } from "../transfer/send-note.ts";
import type { Sent } from "../transfer/send-note.ts";
import { TreeCopier } from "../transfer/tree-copier.ts";
import type { CopiedObjects } from "../transfer/tree-copier.ts";
import { aside } from "./context.ts";
import type { Context } from "./context.ts";
import { gatherSent } from "./gather-sent.ts";
import type { WhatToSend } from "./gather-sent.ts";
import { Holdings } from "./holdings.ts";
import { requireRoom } from "./room.ts";
import { planArrivals, takeIn } from "./take-in.ts";
import type { Arrival, TakeInParams, TakenIn } from "./take-in.ts";

export interface CopyParams extends WhatToSend, TakeInParams {
  /** The other store's directory. It is made if there is none. */
  readonly to: string;
  /** How long to wait for whoever has the other store open. Default: 30. */
  readonly waitSeconds?: number;
}

export interface Copied extends CopiedObjects {
  readonly to: string;
  readonly copied: readonly TakenIn[];
  readonly layers: number;
  /** What the other store grew by: chunks, compressed. */
  readonly newBytes: number;
}

/**
 * Brings states to another store, with the records of all that they were made from: what that lacks of them, compressed as it is here.
 * Containers come with their snapshots, and without LXC directories. Names are there once all is, in one step.
 *
 * @throws {StoreError} EXISTS, USAGE, NOT_FOUND, NO_SPACE; STORE_LOCKED for the other store
 */
export async function copy(context: Context, params: CopyParams): Promise<Copied> {
  using _operation = context.store.begin();
  const { to, waitSeconds } = params;
  const own = context.store.paths.directory;
  if (`${resolve(to)}/`.startsWith(`${own}/`) || (existsSync(to) && realpathSync(to) === own))
    throw new StoreError("USAGE", {
      reason: `${to} is this store itself, or in it`,
      hint: "delta0 tag gives a state one more name",
    });
  const sent: Sent = { bases: [], ...(await gatherSent(context, params)) };
  for (const tree of sentTrees(sent).keys()) context.store.trees.tree(tree);
  await using target = await Store.open(to, {
    create: true,
    command: context.command,
    ...(waitSeconds !== undefined && { waitSeconds }),
    ...(context.onWarning && { onWarning: context.onWarning }),
  });
  using _arriving = target.begin();
  const there: Context = { ...context, store: target };
  await requireRoom(there);
  const arrivals = planArrivals(target, sent.items, params);
  const before = target.chunks.stats();
  const holdings = await Holdings.of(target);
  const objects = await aside(context, () => copyTrees(context, target, { sent, arrivals, holdings }));
  const copied = await takeIn(there, arrivals, sent, holdings, params);
  const newBytes = target.chunks.stats().newStoredBytes - before.newStoredBytes;
  return { to: target.paths.directory, copied, layers: sent.layers.length, ...objects, newBytes };
}

interface Copying {
  readonly sent: Sent;
  readonly arrivals: readonly Arrival[];
  /** Of the other store. */
  readonly holdings: Holdings;
}

async function copyTrees(
  { store, signal, onProgress }: Context,
  target: Store,
  { sent, arrivals, holdings }: Copying,
): Promise<CopiedObjects> {
  const copier = new TreeCopier(store, target, () => target.flush());
  const began = target.chunks.stats();
  const turns = new Turns({
    signal,
    onProgress: () => {
      const { chunks, nodes } = copier.copied;
      const bytes = target.chunks.stats().newPlainBytes - began.newPlainBytes;
      onProgress?.({ phase: "copying", entries: chunks + nodes, bytes });
    },
  });
  // What had the names until now is near to what gets them.
  const replaced = arrivals.flatMap(({ name }): Digest[] => {
    const ref = target.refs.find(name);
    return ref === undefined ? [] : [target.refs.treeOf(ref)];
  });
  const like = replaced.filter((tree) => holdings.claimTree(tree)).slice(0, MOST_LIKE);
  for (const [tree, from] of sentTrees(sent)) {
    if (holdings.claimTree(tree)) continue;
    await copier.copy(tree, from === undefined ? like : [from, ...like], () => (turns.due ? turns.rest() : undefined));
  }
  return copier.copied;
}

/** Each of them is read where it differs. */
const MOST_LIKE = 4;
