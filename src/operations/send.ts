import { open } from "node:fs/promises";
import { StoreError } from "../errors.ts";
import { Turns } from "../sinks/turns.ts";
import { TreeSender } from "../transfer/objects.ts";
import type { SentObjects } from "../transfer/objects.ts";
import { PACKET, PacketWriter } from "../transfer/packets.ts";
import { encodeSent, sentTrees } from "../transfer/send-note.ts";
import type { Sent, SentBase } from "../transfer/send-note.ts";
import { aside } from "./context.ts";
import type { Context } from "./context.ts";
import { makeInPlace } from "./export-place.ts";
import { findBase, gatherSent } from "./gather-sent.ts";
import type { WhatToSend } from "./gather-sent.ts";

export interface SendParams extends WhatToSend {
  /** States that whoever receives it has, each with all that it was made from: nothing of them is sent. */
  readonly have?: readonly string[];
  /** A file that there is not yet, or `-` for `Context.output`. */
  readonly file: string;
}

export interface SentStream extends SentObjects {
  /** Those that they have here; null for states without one. */
  readonly names: readonly (string | null)[];
  readonly layers: number;
  readonly file: string;
  readonly fileBytes: number;
}

/**
 * Writes states to a stream, with the records of all that they were made from. The same states give the same bytes. Containers go with
 * their snapshots, but without what is LXC's: that is for `backup`. docs/format.md, "Streams".
 *
 * @throws {StoreError} EXISTS, USAGE, NOT_FOUND
 */
export async function send(context: Context, params: SendParams): Promise<SentStream> {
  using _operation = context.store.begin();
  const { store, output } = context;
  const { file, have = [] } = params;
  const bases: SentBase[] = [];
  for (const ref of new Set(have)) bases.push(await findBase(context, ref));
  const sent: Sent = { bases, ...(await gatherSent(context, params)) };
  for (const tree of [...bases.flatMap(({ trees }) => trees), ...sentTrees(sent).keys()]) store.trees.tree(tree);
  const write = (to: (bytes: Uint8Array) => Promise<void>): Promise<SentStream> =>
    aside(context, () => writeSent(context, sent, file, to));
  if (file === "-") {
    if (output === undefined) throw new StoreError("USAGE", { reason: "there is no output to write to" });
    return await write(output);
  }
  return await makeInPlace(store, file, "file", async (path) => {
    await using handle = await open(path, "wx", 0o600);
    const written = await write(async (bytes) => {
      for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten;
    });
    await handle.sync();
    return written;
  });
}

async function writeSent(
  context: Context,
  sent: Sent,
  file: string,
  output: (bytes: Uint8Array) => Promise<void>,
): Promise<SentStream> {
  const { store, signal, onProgress } = context;
  let fileBytes = 0;
  const writer = new PacketWriter(async (bytes) => {
    fileBytes += bytes.length;
    await output(bytes);
  });
  await writer.put(PACKET.note, encodeSent(sent));
  const sender = new TreeSender(store, writer);
  const turns = new Turns({
    signal,
    onProgress: () => onProgress?.({ phase: "sending", entries: sender.sent.objects, bytes: sender.sent.bytes }),
  });
  for (const tree of sent.bases.flatMap(({ trees }) => trees)) {
    sender.leaveOut(tree);
    if (turns.due) await turns.rest();
  }
  for (const tree of sentTrees(sent).keys()) await sender.send(tree, () => (turns.due ? turns.rest() : undefined));
  await writer.end();
  const names = sent.items.map(({ name }) => name);
  return { names, layers: sent.layers.length, file, ...sender.sent, fileBytes };
}
