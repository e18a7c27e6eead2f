import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteReader } from "../../src/sources/byte-reader.ts";
import { PACKET, PacketReader, PacketWriter } from "../../src/transfer/packets.ts";
import type { PacketKind } from "../../src/transfer/packets.ts";

const PACKETS: readonly (readonly [kind: PacketKind, payload: string])[] = [
  [PACKET.note, "a note"],
  [PACKET.chunk, "a chunk"],
  [PACKET.tree, "a tree"],
  [PACKET.directory, ""],
  [PACKET.links, "links"],
  [PACKET.content, "content"],
];

/** It never changes: a stream that was written once is read for good. */
const GOLDEN =
  "64656c7461302073747265616d20310a0106000000c22c1f54617a1adf89ae798c3dba2d8a61206e6f746502070000009754bf7bcabe07f573a429b5e5af243f61206368756e6b0306000000192a6b29d68325ae3a44739d666714b061207472656504000000008bd4a2c50067dc2b422ed319148b0c890505000000a76d4521caad4ecb4efd5845d6b6f9496c696e6b730607000000a3053b8df42a21692e223da1dd00346d636f6e74656e740700000000719d6d7d5356327d50730bb0ca48dc46";

test("stream: its packets have the bytes they always had, and read", async () => {
  const pieces: Uint8Array[] = [];
  const writer = new PacketWriter((bytes) => Promise.resolve(void pieces.push(bytes)));
  for (const [kind, payload] of PACKETS) await writer.put(kind, Buffer.from(payload));
  await writer.end();
  const bytes = Buffer.concat(pieces);
  assert.equal(bytes.toString("hex"), GOLDEN);

  const reader = await PacketReader.open(new ByteReader(byteByByte(bytes)));
  for (const [kind, payload] of [...PACKETS, [PACKET.end, ""] as const]) {
    const packet = await reader.next();
    assert.deepEqual([packet.kind, packet.payload.toString()], [kind, payload]);
    assert.equal(bytes.readUInt8(packet.at), kind);
  }
  await assert.rejects(reader.next(), { code: "FORMAT_INVALID" });
});

async function* byteByByte(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (const byte of bytes) yield await Promise.resolve(Uint8Array.of(byte));
}
