import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { Turns } from "../sinks/turns.ts";
import { ByteReader } from "../sources/byte-reader.ts";
import type { Store } from "../store.ts";
import { ObjectReceiver } from "../transfer/objects.ts";
import { damaged, PACKET, PacketReader } from "../transfer/packets.ts";
import { decodeSent, sentTrees } from "../transfer/send-note.ts";
import type { Sent, SentBase } from "../transfer/send-note.ts";
import { TreeCheck } from "../transfer/tree-check.ts";
import { aside } from "./context.ts";
import type { Context } from "./context.ts";
import { Holdings } from "./holdings.ts";
import { requireRoom } from "./room.ts";
import { openSourceFile } from "./source.ts";
import { asStreamFailure } from "./stream-failure.ts";
import { planArrivals, requireSnapshotNames, takeIn } from "./take-in.ts";
import type { TakeInParams, TakenIn } from "./take-in.ts";

export interface ReceiveParams extends TakeInParams {
  /** What `send` wrote, or `-` for `Context.input`. */
  readonly file: string;
}

export interface Received {
  readonly received: readonly TakenIn[];
  readonly layers: number;
  /** What the store grew by: chunks, compressed. */
  readonly newBytes: number;
  readonly newChunks: number;
}

/**
 * Takes in what `send` wrote. Names are there once all of it is read and proven, all in one step. What has come of a stream that was cut
 * is not read again when it comes again.
 *
 * @throws {StoreError} SOURCE_INVALID for what is damaged or no such stream, saying where; NOT_FOUND if what it builds on is not here;
 *   EXISTS, USAGE, FORMAT_NEWER, NO_SPACE
 */
export async function receive(context: Context, params: ReceiveParams): Promise<Received> {
  using _operation = context.store.begin();
  await requireRoom(context);
  const { store, input } = context;
  const { file } = params;
  const stream = file === "-" ? input : openSourceFile(file);
  if (stream === undefined) throw new StoreError("USAGE", { reason: "there is no input to read" });
  const before = store.chunks.stats();
  const bytes = new ByteReader(stream);
  try {
    const { sent, received } = await receiveAll(context, bytes, params);
    const { newStoredBytes, newChunks } = store.chunks.stats();
    return {
      received,
      layers: sent.layers.length,
      newBytes: newStoredBytes - before.newStoredBytes,
      newChunks: newChunks - before.newChunks,
    };
  } catch (error) {
    throw asStreamFailure(error, file, "nothing was received");
  } finally {
    await bytes.close();
  }
}

async function receiveAll(
  context: Context,
  bytes: ByteReader,
  params: ReceiveParams,
): Promise<{ readonly sent: Sent; readonly received: TakenIn[] }> {
  const { store, signal, onProgress } = context;
  // Whoever sends may take his time, even to begin.
  const { packets, sent } = await aside(context, () => readNote(bytes));
  const arrivals = planArrivals(store, sent.items, params);
  const turns = new Turns({
    signal,
    onProgress: ({ entries, bytes }) => onProgress?.({ phase: "receiving", entries, bytes }),
  });
  const holdings = await Holdings.of(store);
  const bases = await requireBases(holdings, sent.bases, () => restOf(turns));

  const trees = sentTrees(sent);
  // What is there now is kept from now on, whatever becomes of its names meanwhile.
  const fresh = [...trees].filter(([tree]) => !holdings.claimTree(tree));
  await aside(context, async () => {
    await takeObjects(store, packets, bytes, turns);
    const check = new TreeCheck(store);
    for (const [tree, from] of fresh)
      await check.require(tree, [...(from === undefined ? [] : [from]), ...bases], () => restOf(turns));
  });
  return { sent, received: await takeIn(context, arrivals, sent, holdings, params) };
}

async function readNote(bytes: ByteReader): Promise<{ packets: PacketReader; sent: Sent }> {
  const packets = await PacketReader.open(bytes);
  const { kind, payload, at } = await packets.next();
  if (kind !== PACKET.note) throw damaged(at);
  const sent = decodeSent(payload);
  requireSnapshotNames(sent.items);
  return { packets, sent };
}

/** Takes all that follows, to the end of the stream. */
async function takeObjects(store: Store, packets: PacketReader, bytes: ByteReader, turns: Turns): Promise<void> {
  const receiver = new ObjectReceiver(store, () => store.flush());
  for (let packet = await packets.next(); packet.kind !== PACKET.end; packet = await packets.next()) {
    await receiver.take(packet);
    turns.entries++;
    turns.bytes = bytes.position;
    await restOf(turns);
  }
  if ((await bytes.take(1)).length > 0) throw damaged(bytes.position);
}

function restOf(turns: Turns): Promise<void> | undefined {
  return turns.due ? turns.rest() : undefined;
}

/**
 * @returns the newest trees of each base
 * @throws {StoreError} NOT_FOUND, naming what is not here
 */
async function requireBases(
  holdings: Holdings,
  bases: readonly SentBase[],
  rest: () => Promise<void> | undefined,
): Promise<Digest[]> {
  for (const { ref, trees } of bases)
    for (const [i, tree] of trees.entries()) {
      if (await holdings.findTree(tree, rest)) continue;
      const what = i === 0 ? `"${ref}"` : `what "${ref}" was made from`;
      throw new StoreError("NOT_FOUND", {
        what: `the stream builds on ${what} (blake3:${tree}), which is not here; nothing was received`,
        hint: `receive that first, or send without --have ${ref}`,
      });
    }
  return bases.flatMap(({ trees }) => trees.slice(0, 1));
}
