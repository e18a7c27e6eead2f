import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { ContainerRef, Layer, RefChange } from "../../src/containers/records.ts";
import { layerDigest, timestamp } from "../../src/containers/refs.ts";
import { isStoreError } from "../../src/errors.ts";
import {
  backup,
  clone,
  create,
  importLayer,
  list,
  listSnapshots,
  openView,
  remove,
  restore,
  rollback,
  show,
  snapshot,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import type { Digest } from "../../src/model/digest.ts";
import { PACKET } from "../../src/transfer/packets.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import { rawChanges } from "../support/random-tree.ts";
import { openTestStore } from "../support/store.ts";
import { FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";
import {
  contentsIn,
  inPieces,
  MAGIC_BYTES,
  packetsOf,
  partsOfStream,
  requireWhole,
  streamOf,
} from "./transfer-support.ts";

const NO_LXC = { noLxc: true } as const;

async function backedUp(context: Context, name: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const output = (bytes: Uint8Array): Promise<void> => Promise.resolve(void pieces.push(Uint8Array.from(bytes)));
  await backup({ ...context, output }, { name, file: "-" });
  return Buffer.concat(pieces);
}

async function restored(context: Context, bytes: Uint8Array, name?: string): Promise<void> {
  await restore({ ...context, input: inPieces(bytes) }, { file: "-", ...NO_LXC, ...(name !== undefined && { name }) });
}

test("backup: any container comes back in an empty store with its trees, snapshots, labels and all that its record has", async () => {
  await using at = await openTestStore();
  const contents = await contentsIn(at.store);
  const changes = rawChanges({ contents, overBase: false });
  const over = rawChanges({ contents, overBase: true });
  let number = 0;
  const arbitrary = fc.record({
    trees: fc.tuple(changes, over, over, over),
    labels: fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), {
      maxKeys: 2,
      noNullPrototype: true,
    }),
    flags: fc.record({ ephemeral: fc.boolean(), identityPending: fc.boolean() }),
    expires: fc.option(fc.constant("2999-01-01T00:00:00.000000000Z"), { nil: null }),
    idMap: fc.constantFrom(null, {
      uids: [{ container: 0, host: 100_000, count: 65_536 }],
      gids: [{ container: 0, host: 200_000, count: 65_536 }],
    }),
    messages: fc.tuple(fc.string(), fc.string()),
    isPinned: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ trees, labels, flags, expires, idMap, messages, isPinned }) => {
      const { store, context } = at;
      const name = `c${number++}`;
      const digests: Digest[] = [];
      for (const stream of trees) {
        const before = digests.at(-1);
        const builder =
          before === undefined ? new TreeBuilder(store.trees) : new TreeBuilder(store.trees, store.trees.tree(before));
        for (const change of stream) {
          try {
            builder.apply(change);
          } catch (error) {
            if (!isStoreError(error, "SOURCE_INVALID")) throw error;
          }
        }
        digests.push(builder.finish().digest);
      }
      const [oldest, lower, kept, tree] = digests;
      assert.ok(oldest && lower && kept && tree);
      const created = timestamp();
      const layer = (of: Digest, parent: Digest | null, message: string): Layer => ({
        tree: of,
        parent,
        created,
        message,
        source: "test",
      });
      const first = layer(oldest, null, "");
      const base = layer(lower, layerDigest(first), "the base");
      const snapshots = [layer(kept, layerDigest(base), messages[0]), layer(oldest, layerDigest(first), messages[1])];
      const ref: ContainerRef = {
        type: "container",
        base: layerDigest(base),
        lower,
        tree,
        generation: 7,
        created,
        captured: created,
        lxcPath: null,
        labels,
        ...flags,
        expires,
        idMap,
      };
      const rows: RefChange[] = snapshots.map((of, i) => ({
        name: `${name}@snap${i}`,
        before: null,
        after: { type: "layer", layer: layerDigest(of), ...(isPinned && { pinned: true as const }) },
      }));
      await store.change(
        { command: "test" },
        [{ name, before: null, after: ref }, ...rows],
        [first, base, ...snapshots],
      );
      const bytes = await backedUp(context, name);

      await using other = await openTestStore();
      await restored(other.context, bytes);
      assert.deepEqual(other.store.refs.find(name), { ...ref, generation: 1 });
      for (const { name: full, after } of rows) assert.deepEqual(other.store.refs.find(full), after);
      assert.deepEqual(await listSnapshots(other.context, { name }), await listSnapshots(context, { name }));
      for (const digest of digests) requireWhole(other.store, digest);
      // What is restored can be backed up, and where it comes from restored by another name.
      await restored(other.context, await backedUp(other.context, name), "again");
      await restored(context, bytes, `${name}-again`);
      assert.deepEqual(store.refs.find(`${name}-again`), { ...ref, generation: 1 });
    }),
    { numRuns: 25 },
  );
});

test("backup: what is cut, changed, exchanged or added anywhere is refused, and nothing is there of it", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  mkdirSync(source);
  for (let i = 0; i < 6; i++) writeFileSync(`${source}/${i}`, `file ${i} `.repeat(10 + i * 3000));
  await create(at.context, { source, name: "web", ...NO_LXC });
  await snapshot(at.context, { name: "web" });
  const bytes = await backedUp(at.context, "web");
  await using other = await openTestStore();

  const refused = async (damaged: Uint8Array, what: string): Promise<void> => {
    await assert.rejects(restored(other.context, damaged), { code: "SOURCE_INVALID" }, what);
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
      // One may put in what was taken out.
      if (!damaged.equals(bytes)) await refused(damaged, `${how} at ${i}`);
    }),
    { numRuns: 120 },
  );
  const packets = packetsOf(bytes);
  for (let i = 0; i < packets.length; i++) {
    const without = [...packets.slice(0, i), ...packets.slice(i + 1)];
    await refused(Buffer.concat([bytes.subarray(0, MAGIC_BYTES), ...without]), `without packet ${i}`);
  }
  await refused(Buffer.concat([bytes, Buffer.of(0)]), "with a byte more");
  await refused(Buffer.from("not a backup at all"), "of something else");
  await restored(other.context, bytes);
  assert.equal((await show(other.context, { ref: "web" })).digest, (await show(at.context, { ref: "web" })).digest);
});

test("backup: objects that are not what they say are refused though all checks fit, or change nothing", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  mkdirSync(source);
  for (let i = 0; i < 300; i++) writeFileSync(`${source}/${i}`, `file ${i} `.repeat(1 + (i % 3) * 2000));
  await create(at.context, { source, name: "web", ...NO_LXC });
  const { digest } = await show(at.context, { ref: "web" });
  assert.ok(digest);
  const bytes = await backedUp(at.context, "web");
  const packets = packetsOf(bytes);
  const objects = packets.flatMap(({ 0: kind }, i) => (kind === PACKET.note || kind === PACKET.end ? [] : [i]));
  // Nodes are few: they come often.
  const nodes = objects.filter((i) => packets[i]?.[0] !== PACKET.chunk);
  const which = fc.oneof(fc.constantFrom(...objects), fc.constantFrom(...nodes));
  const change = fc.record({ place: fc.nat(), to: fc.nat({ max: 255 }), inHead: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      which,
      change,
      fc.constantFrom("change", "leave out", "move"),
      async (i, { place, to, inHead }, how) => {
        const payloads = partsOfStream(bytes);
        const [one] = how === "change" ? [payloads[i]] : payloads.splice(i, 1);
        assert.ok(one);
        if (how === "change") one.payload[place % (inHead ? 37 : one.payload.length)] = to;
        if (how === "move") payloads.splice(1 + (place % (payloads.length - 3)), 0, one);
        const hostile = await streamOf(payloads);
        await using other = await openTestStore();
        try {
          await restored(other.context, hostile);
        } catch (error) {
          if (!isStoreError(error, "SOURCE_INVALID")) throw error;
          assert.deepEqual(await list(other.context), []);
          return;
        }
        assert.equal((await show(other.context, { ref: "web" })).digest, digest);
        requireWhole(other.store, digest);
      },
    ),
    { numRuns: 60 },
  );
});

test("backup: a later format is told apart from damage; a name that is taken is refused before anything is read", async () => {
  await using at = await openTestStore();
  mkdirSync(`${at.path}/source`);
  await create(at.context, { source: `${at.path}/source`, name: "web", ...NO_LXC });
  const bytes = await backedUp(at.context, "web");
  await assert.rejects(restored(at.context, bytes), { code: "EXISTS" });
  await assert.rejects(restored(at.context, bytes.subarray(0, 200)), { code: "EXISTS" });
  const later = Buffer.from(bytes);
  later.write("delta0 stream 2\n", "latin1");
  await assert.rejects(restored(at.context, later, "new"), { code: "FORMAT_NEWER" });
  await assert.rejects(backup(at.context, { name: "wbe", file: `${at.path}/x` }), { code: "NOT_FOUND" });
  writeFileSync(`${at.path}/taken`, "");
  await assert.rejects(backup(at.context, { name: "web", file: `${at.path}/taken` }), { code: "EXISTS" });
  await importLayer(at.context, { source: `${at.path}/source`, name: "layer" });
  await assert.rejects(backup(at.context, { name: "layer", file: `${at.path}/x` }), { code: "USAGE" });
  assert.deepEqual(readdirSync(at.path).sort(), ["source", "store", "taken"]);
});

test("backup: a container with an LXC directory comes back with its config at its new place, and starts as it was", async () => {
  await using from = await openTestHost();
  await using to = await openTestHost();
  const settings = [...FOR_ANYBODY.settings, "lxc.net.0.hwaddr=00:16:3e:01:02:03"];
  await create(from.context, { source: from.source, name: "web", lxcPath: from.lxcPath, settings, identity: "keep" });
  await runContainer(from.context, "web", (upper) => writeFileSync(`${upper}/one`, "1"));
  await snapshot(from.context, { name: "web", message: "first" });
  await runContainer(from.context, "web", (upper) => writeFileSync(`${upper}/two`, "2"));
  const config = readFileSync(`${from.lxcPath}/web/config`, "utf8");
  writeFileSync(
    `${from.lxcPath}/web/config`,
    `${config}# by hand\nlxc.mount.entry = ${from.lxcPath}/web/data data none bind 0 0\n`,
  );
  const file = `${from.path}/web.backup`;
  const { fileBytes, snapshots } = await backup(from.context, { name: "web", file });
  assert.equal(statSync(file).size, fileBytes);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(snapshots, 1);

  const { name, lxcPath } = await restore(to.context, { file, name: "www", lxcPath: to.lxcPath });
  assert.deepEqual([name, lxcPath], ["www", to.lxcPath]);
  const text = readFileSync(`${to.lxcPath}/www/config`, "utf8");
  assert.ok(!text.includes(from.path), text);
  assert.match(text, /# by hand/);
  assert.match(text, new RegExp(`^lxc.mount.entry = ${to.lxcPath}/www/data data`, "m"));
  assert.match(text, /^lxc.net.0.hwaddr = 00:16:3e:01:02:03$/m);
  assert.match(text, /^lxc.uts.name = www$/m);
  assert.equal(text.match(/^lxc.include = .*hooks.conf$/gm)?.length, 1);
  const { digest } = await show(from.context, { ref: "web" });
  assert.equal((await show(to.context, { ref: "www" })).digest, digest);
  await startContainer(to.context, "www");
  assert.deepEqual(readdirSync(`${to.lxcPath}/www/delta0`).sort(), ["one", "two"]);
  await rollback(to.context, { name: "www", snapshot: "snap0" });
  assert.deepEqual(readdirSync(`${to.lxcPath}/www/delta0`), ["one"]);
});

test("backup: a file whose bytes are those of a node of its own tree is told apart from it", async () => {
  await using from = await openTestHost();
  await using to = await openTestStore();
  const first = await importLayer(from.context, { source: from.source, name: "first" });
  const { store } = from.context;
  const etc = store.trees.lookup(store.trees.tree(first.digest), "etc");
  assert.ok(etc?.type === "directory" && etc.listing.root !== null);
  // Both orders of the two: which of them a walk meets first.
  for (const name of ["a", "z"]) writeFileSync(`${from.source}/${name}`, store.nodes.get(etc.listing.root));
  await create(from.context, { source: from.source, name: "web", ...NO_LXC });
  await restored(to.context, await backedUp(from.context, "web"));
  const [there, here] = [await show(from.context, { ref: "web" }), await show(to.context, { ref: "web" })];
  assert.equal(here.digest, there.digest);
  const view = await openView(to.context, { ref: "web" });
  assert.equal(view.readFileSync("/etc/hosts", "utf8"), "127.0.0.1 localhost\n");
  assert.deepEqual(Buffer.from(view.readFileSync("/z")), Buffer.from(store.nodes.get(etc.listing.root)));
});

test("backup: what containers share is in it once, and what the store has is not stored again", async () => {
  await using at = await openTestStore();
  mkdirSync(`${at.path}/source`);
  for (let i = 0; i < 4; i++)
    writeFileSync(`${at.path}/source/${i}`, Buffer.alloc(400_000, `unlike ${i} ${Math.random()}`));
  await create(at.context, { source: `${at.path}/source`, name: "web", ...NO_LXC });
  const alone = await backedUp(at.context, "web");
  for (let i = 0; i < 5; i++) await snapshot(at.context, { name: "web" });
  const withSnapshots = await backedUp(at.context, "web");
  assert.ok(withSnapshots.length < alone.length + 2000, `${withSnapshots.length} and ${alone.length}`);
  await clone(at.context, { ref: "web", names: ["other"], ...NO_LXC });
  await remove(at.context, { names: ["web"] });
  const before = at.store.chunks.stats().newChunks;
  await restored(at.context, withSnapshots);
  await at.store.flush();
  assert.equal(at.store.chunks.stats().newChunks, before);
  assert.equal((await listSnapshots(at.context, { name: "web" })).length, 5);
});
