import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { digestOf } from "../../src/format/blake3.ts";
import { copy, create, gc, importLayer, list, receive, remove, show, snapshot } from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { digestToBytes } from "../../src/model/digest.ts";
import { digestKey } from "../../src/format/keys.ts";
import type { Digest } from "../../src/model/digest.ts";
import { compress } from "../../src/sys/zstd.ts";
import { PACKET } from "../../src/transfer/packets.ts";
import { encodeSent } from "../../src/transfer/send-note.ts";
import type { Sent } from "../../src/transfer/send-note.ts";
import { openTestStore } from "../support/store.ts";
import {
  inPieces,
  MAGIC_BYTES,
  packetsOf,
  partsOfStream,
  reachOf,
  received,
  requireWhole,
  sent,
  streamOf,
  within,
  writeSource,
} from "./transfer-support.ts";
import type { StreamPart } from "./transfer-support.ts";

const NO_LXC = { noLxc: true } as const;

/** An object packet's payload, of a directory page, compressed. */
function node(bytes: Buffer): StreamPart {
  const head = Buffer.alloc(5);
  head.writeUInt8(1);
  head.writeUInt32LE(bytes.length, 1);
  const payload = Buffer.concat([digestToBytes(digestOf(bytes)), head, compress(bytes, 3)]);
  return { kind: PACKET.directory, payload };
}

function note(items: Sent["items"]): StreamPart {
  return { kind: PACKET.note, payload: encodeSent({ bases: [], layers: [], items }) };
}

/** Packets with right checks, though the writer would refuse them. */
function packetOf(check: Buffer): (part: StreamPart) => Buffer {
  let before = check;
  return ({ kind, payload }) => {
    const head = Buffer.alloc(5);
    head.writeUInt8(kind);
    head.writeUInt32LE(payload.length, 1);
    before = Buffer.from(digestOf(Buffer.concat([before, head, payload])), "hex").subarray(0, 16);
    return Buffer.concat([head, before, payload]);
  };
}

test("transfer: what is cut, changed, exchanged or added anywhere is refused, nothing has a name, and the stream comes whole after", async () => {
  await using at = await openTestStore();
  writeSource(`${at.path}/source`);
  await importLayer(at.context, { source: `${at.path}/source`, name: "base" });
  await create(at.context, { source: "base", name: "web", ...NO_LXC });
  await snapshot(at.context, { name: "web" });
  const bytes = await sent(at.context, ["base", "web"]);
  await using other = await openTestStore();
  const refused = async (damaged: Uint8Array, what: string): Promise<void> => {
    await assert.rejects(received(other.context, damaged), { code: "SOURCE_INVALID" }, what);
    assert.deepEqual(await list(other.context), [], what);
  };
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.constantFrom("cut", "flip", "remove", "insert", "repeat"), async (place, how) => {
      const i = place % bytes.length;
      const [before, after] = [bytes.subarray(0, i), bytes.subarray(i)];
      const damaged = {
        cut: () => before,
        flip: () => Buffer.concat([before, Buffer.of((bytes[i] ?? 0) ^ (1 << (place % 8))), after.subarray(1)]),
        remove: () => Buffer.concat([before, after.subarray(1)]),
        insert: () => Buffer.concat([before, Buffer.of(place % 256), after]),
        repeat: () => Buffer.concat([bytes.subarray(0, i + 1), after]),
      }[how]();
      if (!damaged.equals(bytes)) await refused(damaged, `${how} at ${i}`);
    }),
    { numRuns: 60 },
  );
  const packets = packetsOf(bytes);
  for (const i of [0, 1, 5, packets.length - 2, packets.length - 1]) {
    const without = [...packets.slice(0, i), ...packets.slice(i + 1)];
    await refused(Buffer.concat([bytes.subarray(0, MAGIC_BYTES), ...without]), `without packet ${i}`);
  }
  await refused(Buffer.concat([bytes, Buffer.of(0)]), "with a byte more");
  assert.ok((await received(other.context, bytes)).every(({ outcome }) => outcome === "new"));
  assert.ok((await received(other.context, bytes)).every(({ outcome }) => outcome === "unchanged"));
});

test("transfer: objects that are not what they say are refused though all checks fit, or change nothing; the store goes on", async () => {
  await using at = await openTestStore();
  writeSource(`${at.path}/source`);
  const { digest } = await importLayer(at.context, { source: `${at.path}/source`, name: "base" });
  const bytes = await sent(at.context, ["base"]);
  const parts = partsOfStream(bytes);
  const objects = parts.flatMap(({ kind }, i) => (kind === PACKET.end ? [] : [i]));
  const nodes = objects.filter((i) => parts[i]?.kind !== PACKET.chunk);
  const which = fc.oneof(fc.constantFrom(...objects), fc.constantFrom(...nodes));
  const change = fc.record({ place: fc.nat(), to: fc.nat({ max: 255 }), inHead: fc.boolean() });
  await using other = await openTestStore();
  await fc.assert(
    fc.asyncProperty(
      which,
      change,
      fc.constantFrom("change", "leave out", "move"),
      async (i, { place, to, inHead }, how) => {
        const parts = partsOfStream(bytes);
        const [one] = how === "change" ? [parts[i]] : parts.splice(i, 1);
        assert.ok(one);
        if (how === "change") one.payload[place % (inHead ? 37 : one.payload.length)] = to;
        if (how === "move") parts.splice(place % (parts.length - 1), 0, one);
        try {
          await received(other.context, await streamOf(parts), { as: "it" });
        } catch (error) {
          if (!(error instanceof Error) || !("code" in error)) throw error;
          assert.match(String(error.code), /^(SOURCE_INVALID|NOT_FOUND|FORMAT_NEWER|USAGE)$/);
          assert.deepEqual(await list(other.context), []);
          return;
        }
        // The note has texts that nothing proves.
        const found = await show(other.context, { ref: "it" });
        if (i !== 0) assert.equal(found.digest, digest);
        assert.ok(found.digest);
        requireWhole(other.store, found.digest);
        await remove(other.context, { names: ["it"], now: true });
      },
    ),
    { numRuns: 120 },
  );
  await gc(other.context, { grace: "0" });
  assert.equal((await other.store.usage()).nodes, 0);
});

test("transfer: what would be gigabytes of records is refused before it is unpacked", async () => {
  await using at = await openTestStore();
  const lists = Buffer.alloc(32 << 20, 0x90);
  const head = Buffer.of(0x94, 1, 0xa9, ...Buffer.from("directory"), 0, 0xdd);
  head.copy(lists);
  lists.writeUInt32BE(lists.length - head.length - 4, head.length);
  const before = process.resourceUsage().maxRSS;
  for (const parts of [[note([]), node(lists)], [{ kind: PACKET.note, payload: lists }]]) {
    const bytes = Buffer.concat(parts.map(packetOf(Buffer.alloc(16))));
    const stream = Buffer.concat([Buffer.from("delta0 stream 1\n"), bytes]);
    await assert.rejects(received(at.context, stream), { code: "SOURCE_INVALID" });
  }
  const grownBy = (process.resourceUsage().maxRSS - before) * 1024;
  assert.ok(grownBy < 300e6, `${grownBy} bytes more at the peak`);
});

test("transfer: a store's half of a tree, as a collection that was killed leaves it, does not count as the tree", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  writeSource(source);
  const { digest } = await importLayer(at.context, { source, name: "base" });
  writeFileSync(`${source}/d1/f1`, "changed");
  const next = await importLayer(at.context, { source, name: "next", parent: "base" });
  const to = `${at.path}/copy`;
  const halve = async ({ store }: Context): Promise<void> => {
    const { nodes, chunks } = reachOf(store, [digest]);
    let i = 0;
    const isLive = (node: Digest): boolean => node === digest || !nodes.has(node) || i++ % 2 === 0;
    await store.nodes.sweep(isLive, { dryRun: false });
    await store.databases.meta.write(
      [...chunks].slice(0, 5).map((digest) => ({ type: "del", key: digestKey("chunk", digest) })),
    );
  };
  await copy(at.context, { refs: ["base"], to });
  await within(to, async (other) => {
    await remove(other, { names: ["base"] });
    await halve(other);
    await assert.rejects(received(other, await sent(at.context, ["next"], ["base"])), { code: "NOT_FOUND" });
    assert.deepEqual(await list(other), []);
  });
  const copied = await copy(at.context, { refs: ["next"], to });
  assert.ok(copied.chunks >= 5 && copied.chunks < 20, `${copied.chunks}`);
  await within(to, async ({ store }) => {
    for (const tree of [digest, next.digest]) requireWhole(store, tree);
    await Promise.resolve();
  });
  await using other = await openTestStore();
  await received(other.context, await sent(at.context, ["base"]));
  await remove(other.context, { names: ["base"] });
  await halve(other.context);
  await received(other.context, await sent(at.context, ["next"]));
  for (const tree of [digest, next.digest]) requireWhole(other.store, tree);
});

test("transfer: collections that run beside it take away nothing that comes, nor what it builds on", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  writeSource(source);
  await importLayer(at.context, { source, name: "base" });
  writeFileSync(`${source}/new`, Buffer.alloc(700_000, "new"));
  const { digest } = await importLayer(at.context, { source, name: "next", parent: "base" });
  await using other = await openTestStore();
  await received(other.context, await sent(at.context, ["base"]), { as: "here" });
  async function* withCollections(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    let i = 0;
    for await (const piece of inPieces(bytes, 300)) {
      if (i === 3) await remove(other.context, { names: ["here"] });
      if (i++ % 4 === 0) await gc(other.context, { grace: "0" });
      yield piece;
    }
  }
  const input = withCollections(await sent(at.context, ["next"], ["base"]));
  await receive({ ...other.context, input }, { file: "-" });
  requireWhole(other.store, digest);
  await gc(other.context, { grace: "0" });
  requireWhole(other.store, digest);
});
