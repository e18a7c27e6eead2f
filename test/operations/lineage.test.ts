import assert from "node:assert/strict";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  blame,
  clone,
  commit,
  create,
  importLayer,
  lineageTree,
  log,
  put,
  remove,
  snapshot,
  whohas,
} from "../../src/index.ts";
import type { LineageNode } from "../../src/index.ts";
import { openTestHost } from "./support.ts";
import type { TestHost } from "./support.ts";

const NO_LXC = { noLxc: true } as const;

async function write(at: TestHost, target: string, content: string): Promise<void> {
  writeFileSync(`${at.path}/file`, content);
  await put(at.context, { sources: [`${at.path}/file`], target, noTargetDirectory: true });
}

/** base (imported) <- app (committed of web) <- web, with a snapshot; other stands on base. */
async function scene(at: TestHost): Promise<void> {
  await importLayer(at.context, { source: at.source, name: "base", message: "the first" });
  for (const name of ["web", "other"]) await create(at.context, { source: "base", name, ...NO_LXC });
  await write(at, "web:/srv", "12345");
  await commit(at.context, { name: "web", layer: "app", message: "with srv" });
  await write(at, "web:/etc/hosts", "hosts\n");
  await snapshot(at.context, { name: "web" });
}

test("log: a container's state, its base and that one's parents, with what each has more; nameless layers too", async () => {
  await using at = await openTestHost();
  await scene(at);
  const items = await log(at.context, { ref: "web" });
  assert.deepEqual(
    items.map(({ type, names, message, moreFiles, moreBytes }) => [type, names, message, moreFiles, moreBytes]),
    [
      ["container", ["web"], "", 0, 6 - 20],
      ["layer", ["app"], "with srv", 1, 5],
      ["layer", ["base"], "the first", 6, 300_020],
    ],
  );
  assert.deepEqual(
    (await log(at.context, { ref: "web", limit: 1 })).map(({ moreBytes }) => moreBytes),
    [-14],
  );
  await remove(at.context, { names: ["app"] });
  assert.deepEqual(
    (await log(at.context, { ref: "web@snap0" })).map(({ names }) => names),
    [["web@snap0"], [], ["base"]],
  );
  await assert.rejects(log(at.context, { ref: "none" }), { code: "NOT_FOUND" });
});

test("tree: layers on their parents, containers on their bases; with a ref its line alone; chains of any length", async () => {
  await using at = await openTestHost();
  await scene(at);
  const drawn = (nodes: readonly LineageNode[]): unknown =>
    nodes.map(({ names, children }) => (children.length > 0 ? [names.join(), drawn(children)] : names.join()));
  assert.deepEqual(drawn(await lineageTree(at.context)), [["base", [["app", ["web@snap0", "web"]], "other"]]]);
  assert.deepEqual(drawn(await lineageTree(at.context, { ref: "app" })), [["base", [["app", ["web@snap0", "web"]]]]]);
  assert.deepEqual(drawn(await lineageTree(at.context, { ref: "other" })), [["base", ["other"]]]);
  await clone(at.context, { ref: "other", names: ["copy"], ...NO_LXC });
  assert.deepEqual(drawn(await lineageTree(at.context, { ref: "copy" })), [["base", ["copy"]]]);
  const { store } = at;
  const base = store.refs.find("base");
  assert.equal(base?.type, "layer");
  const { layerDigest } = await import("../../src/containers/refs.ts");
  const layers = [store.refs.layer(base.layer)];
  for (let i = 0; i < 3000; i++) layers.push({ ...layers[0]!, parent: layerDigest(layers.at(-1)!), message: `${i}` });
  const after = { type: "layer", layer: layerDigest(layers.at(-1)!) } as const;
  await store.change({ command: "a test" }, [{ name: "top", before: null, after }], layers.slice(1));
  let depth = 0;
  for (
    let nodes = await lineageTree(at.context, { ref: "top" });
    nodes[0] !== undefined;
    nodes = [...nodes[0].children]
  )
    depth++;
  assert.equal(depth, 3001);
  assert.equal((await log(at.context, { ref: "top" })).length, 3001);
});

test("blame: which states brought, changed and removed a path; through symlinks in it", async () => {
  await using at = await openTestHost();
  await scene(at);
  const told = async (file: string): Promise<string[]> =>
    (await blame(at.context, { file })).items.map(
      ({ names, kind, differs }) => `${names.join()} ${kind}${differs.length > 0 ? ` ${differs.join()}` : ""}`,
    );
  const [newest, first] = await told("web:/etc/hosts");
  assert.match(newest ?? "", /^web changed content/);
  assert.equal(first, "base added");
  assert.deepEqual(await told("web:/srv"), ["app added"]);
  assert.deepEqual(await told("other:/bin/tool"), ["base added"]);
  assert.equal((await blame(at.context, { file: "web:/etc/../srv" })).path, "srv");
  rmSync(`${at.source}/bin/tool`);
  chmodSync(`${at.source}/etc/hosts`, 0o600);
  await importLayer(at.context, { source: at.source, name: "next", parent: "base" });
  assert.deepEqual(await told("next:/bin/tool"), ["next removed", "base added"]);
  assert.deepEqual(await told("next:/etc/hosts"), ["next metadata mode", "base added"]);
  assert.match((await told("next:/bin"))[0] ?? "", /^next changed/);
  await assert.rejects(told("next:/never"), { code: "NOT_FOUND" });
  await assert.rejects(told("next"), { code: "USAGE" });
});

test("whohas: names that have a path, the same bytes anywhere, a directory, a digest", async () => {
  await using at = await openTestHost();
  await scene(at);
  const told = async (what: string): Promise<string[]> =>
    (await whohas(at.context, { what })).map(({ name, path }) => `${name} ${path ?? "-"}`);
  assert.deepEqual(await told("/srv"), ["app /srv", "web /srv", "web@snap0 /srv"]);
  assert.deepEqual(await told("base:/etc/hosts"), ["app /etc/hosts", "base /etc/hosts", "other /etc/hosts"]);
  await write(at, "other:/moved", "hosts\n");
  assert.deepEqual(await told("web:/etc/hosts"), ["other /moved", "web /etc/hosts", "web@snap0 /etc/hosts"]);
  assert.deepEqual((await told("base:/bin")).length, 5);
  const [{ node, digest } = assert.fail()] = await whohas(at.context, { what: "/srv" });
  assert.deepEqual(await told(`blake3:${(node.content ?? "").slice(0, 12)}`), [
    "app /srv",
    "web /srv",
    "web@snap0 /srv",
  ]);
  assert.deepEqual(await told(digest), ["app -"]);
  assert.deepEqual(await told("/none"), []);
  for (const [what, code] of [
    ["0".repeat(64), "NOT_FOUND"],
    ["web:/none", "NOT_FOUND"],
    ["base:/empty", "USAGE"],
    ["something", "USAGE"],
  ] as const)
    await assert.rejects(told(what), { code }, what);
});
