import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ContainerRef, Layer, LayerRef, Ref, RefChange } from "../../src/containers/records.ts";
import { layerDigest, Refs } from "../../src/containers/refs.ts";
import { Settings } from "../../src/containers/settings.ts";
import { digestOf } from "../../src/format/blake3.ts";
import { digestKey, nameKey } from "../../src/format/keys.ts";
import { Kv } from "../../src/kv/kv.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const tree = (text: string) => digestOf(Buffer.from(text));
const layerRef = (text: string): LayerRef => ({ type: "layer", layer: tree(text) });
const container: ContainerRef = {
  type: "container",
  base: tree("base"),
  lower: tree("lower"),
  tree: tree("tree"),
  generation: 3,
  created: "2026-01-01T00:00:00.000000000Z",
  captured: null,
  lxcPath: "/var/lib/lxc",
  labels: { b: "2", a: "" },
  ephemeral: false,
  expires: null,
  identityPending: false,
  idMap: null,
};

interface TestRefs extends AsyncDisposable {
  readonly meta: Kv;
  readonly refs: Refs;
}

async function openRefs(): Promise<TestRefs> {
  const directory = await temporaryDirectory();
  const meta = await Kv.open(`${directory.path}/meta`, { create: true });
  return {
    meta,
    refs: await Refs.open(meta),
    [Symbol.asyncDispose]: async () => {
      await meta[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

async function all(refs: Refs): Promise<Map<string, Ref>> {
  const found = new Map<string, Ref>();
  for (const [name, ref] of await refs.list((name, error) => assert.fail(`${name}: ${error.message}`)))
    found.set(name, ref);
  return found;
}

test("refs: are what a Map would be after the same changes, and history read backwards undoes them all", async () => {
  await using at = await openRefs();
  const { refs } = at;
  const model = new Map<string, Ref>();
  const refOf = fc.constantFrom<Ref | null>(null, layerRef("a"), layerRef("b"), container);
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.constantFrom("web", "db", "x.y-z_"), refOf, { minKeys: 1 }), async (to) => {
      const changes: RefChange[] = Object.entries(to).map(([name, after]) => ({
        name,
        before: model.get(name) ?? null,
        after,
      }));
      await refs.change({ command: "test" }, changes);
      for (const { name, after } of changes) {
        if (after === null) model.delete(name);
        else model.set(name, after);
      }
      assert.deepEqual(await all(refs), new Map([...model].sort(([a], [b]) => (a < b ? -1 : 1))));
      for (const name of ["web", "db", "x.y-z_"]) assert.deepEqual(refs.find(name), model.get(name));
    }),
    { numRuns: 60 },
  );
  const undone = new Map(model);
  let last = Infinity;
  for await (const { number, changes, command } of refs.history()) {
    assert.ok(number < last, "the newest first");
    last = number;
    assert.equal(command, "test");
    for (const { name, before, after } of changes) {
      assert.deepEqual(undone.get(name) ?? null, after);
      if (before === null) undone.delete(name);
      else undone.set(name, before);
    }
  }
  assert.equal(last, 0);
  assert.deepEqual(undone, new Map());
});

test("refs: a change whose before does not hold changes nothing at all", async () => {
  await using at = await openRefs();
  const { refs } = at;
  await refs.change({ command: "make" }, [{ name: "web", before: null, after: container }]);
  const layer: Layer = { tree: tree("t"), parent: null, created: container.created, message: "", source: "" };
  for (const [before, code] of [
    [null, "EXISTS"],
    [layerRef("a"), "REFUSED"],
    [{ ...container, generation: 2 }, "REFUSED"],
  ] as const) {
    const changes = [
      { name: "new", before: null, after: layerRef("a") },
      { name: "web", before, after: null },
    ];
    await assert.rejects(refs.change({ command: "change" }, changes, [layer]), { code });
    assert.deepEqual(await all(refs), new Map([["web", container]]));
    assert.throws(() => refs.layer(layerDigest(layer)), { code: "NODE_MISSING" });
  }
  await assert.rejects(refs.change({ command: "rm" }, [{ name: "gone", before: container, after: null }]), {
    code: "REFUSED",
  });
  let entries = 0;
  for await (const _entry of refs.history()) entries++;
  assert.equal(entries, 1);
});

test("refs: a damaged record is left out of the list and reported; finding it fails", async () => {
  await using at = await openRefs();
  const { refs, meta } = at;
  for (const name of ["a", "b", "c"])
    await refs.change({ command: "make" }, [{ name, before: null, after: container }]);
  const whole = meta.getSync(nameKey("ref", "b"))!;
  const flipped = Buffer.from(whole);
  flipped[20]! ^= 1;
  // A record that is whole, but another's.
  for (const value of [flipped, Buffer.alloc(0), meta.getSync(nameKey("ref", "a"))!]) {
    await meta.write([{ type: "put", key: nameKey("ref", "b"), value }]);
    const damaged: string[] = [];
    const found: string[] = [];
    for (const [name] of await refs.list((name, error) => damaged.push(`${name} ${error.code}`))) found.push(name);
    assert.deepEqual([found, damaged], [["a", "c"], ["b FORMAT_INVALID"]]);
    assert.throws(() => refs.find("b"), { code: "FORMAT_INVALID" });
  }
});

test("refs: a layer is proved when it is read", async () => {
  await using at = await openRefs();
  const { refs, meta } = at;
  const layer: Layer = { tree: tree("t"), parent: null, created: container.created, message: "é\n", source: "/" };
  const digest = layerDigest(layer);
  assert.throws(() => refs.layer(digest), { code: "NODE_MISSING" });
  await refs.change(
    { command: "make" },
    [{ name: "a", before: null, after: { type: "layer", layer: digest } }],
    [layer],
  );
  assert.deepEqual(refs.layer(digest), layer);
  assert.equal(refs.treeOf({ type: "layer", layer: digest }), layer.tree);
  await meta.write([{ type: "put", key: digestKey("layer", digest), value: Buffer.from("x") }]);
  assert.throws(() => refs.layer(digest), { code: "NODE_CORRUPT" });
});

test("refs: text that can be no name finds nothing, not another's record", async () => {
  await using at = await openRefs();
  await at.refs.change({ command: "make" }, [{ name: "web", before: null, after: container }]);
  // Its lowest byte is that of "w".
  for (const name of ["\u0177eb", "", "w", "webb"]) assert.equal(at.refs.find(name), undefined);
});

test("settings: are kept over an opening, go back to none, and are proved", async () => {
  await using at = await openRefs();
  const settings = new Settings(at.meta);
  assert.equal(settings.find("lxc.path"), undefined);
  await settings.set("lxc.path", "/srv/lxc é");
  await settings.set("lxc.template", "/srv/template");
  assert.equal(new Settings(at.meta).find("lxc.path"), "/srv/lxc é");
  await settings.set("lxc.path", undefined);
  assert.equal(settings.find("lxc.path"), undefined);
  assert.equal(settings.find("lxc.template"), "/srv/template");
  await at.meta.write([{ type: "put", key: nameKey("setting", "lxc.template"), value: Buffer.from("\x01nonsense") }]);
  assert.throws(() => settings.find("lxc.template"), { code: "FORMAT_INVALID" });
});
