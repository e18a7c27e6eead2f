import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { link, mkdir, symlink, utimes, writeFile } from "node:fs/promises";
import { test } from "node:test";
import {
  capture,
  cat,
  create,
  find,
  get,
  importLayer,
  info,
  list,
  openView,
  remove,
  show,
  stat,
  status,
  tag,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { digestKey, nameKey } from "../../src/format/keys.ts";
import { Kv } from "../../src/kv/kv.ts";
import { Store } from "../../src/store.ts";
import { FOR_ANYBODY, openTestHost, runContainer } from "./support.ts";

const NO_LXC = { noLxc: true } as const;

test("status: what a container changed, each with its kind, before and after", async () => {
  await using at = await openTestHost();
  await create(at.context, { source: at.source, name: "web", ...NO_LXC });
  const delta = `${at.path}/delta`;
  await mkdir(`${delta}/etc`, { recursive: true });
  await mkdir(`${delta}/empty/new`, { recursive: true });
  await writeFile(`${delta}/etc/hosts`, "other");
  await writeFile(`${delta}/bin`, "a file now");
  await capture(at.context, { name: "web", from: delta, dialect: "user" });
  const { name, state, captured, changes } = await status(at.context, { name: "web" });
  assert.deepEqual({ name, state }, { name: "web", state: "stored" });
  assert.match(captured ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  const kinds = new Map(changes.map(({ path, kind }) => [path, kind]));
  assert.equal(kinds.get("etc/hosts"), "changed");
  assert.equal(kinds.get("bin"), "replaced");
  assert.equal(kinds.has("bin/tool"), false, "what goes with its directory is one change");
  assert.equal(kinds.get("empty/new"), "added");
  assert.equal(kinds.get("etc"), "metadata");
  assert.equal(kinds.has("etc/link"), false);
  const hosts = changes.find(({ path }) => path === "etc/hosts");
  assert.deepEqual([hosts?.before?.sizeBytes, hosts?.after?.sizeBytes], [20, 5]);
  assert.match(hosts?.after?.mode ?? "", /^0[0-7]{3}$/);
});

test("show: a layer, a container and a bare tree are told apart", async () => {
  await using at = await openTestHost();
  const { digest, entries, bytes } = await importLayer(at.context, { source: at.source, name: "base" });
  await create(at.context, { source: "base", name: "web", lxcPath: at.lxcPath, labels: { a: "b" } });
  const sizes = { digest, files: entries, sizeBytes: bytes };
  const layer = await show(at.context, { ref: "base" });
  assert.deepEqual({ ...layer, layer: null }, { ref: "base", type: "layer", ...sizes, layer: null, container: null });
  const ref = digest.slice(0, 12);
  assert.deepEqual(await show(at.context, { ref }), { ref, type: "tree", ...sizes, layer: null, container: null });
  const { container, ...web } = await show(at.context, { ref: "web" });
  assert.deepEqual(web, { ref: "web", type: "container", ...sizes, layer: layer.layer });
  assert.deepEqual(
    { ...container, created: "" },
    {
      state: "stopped",
      lower: digest,
      created: "",
      captured: null,
      generation: 1,
      labels: { a: "b" },
      snapshots: [],
      identityPending: false,
      ephemeral: false,
      expires: null,
      lxcDirectory: `${at.lxcPath}/web`,
      exports: [{ path: at.store.exports.path(digest), diskBytes: null }],
    },
  );
  await assert.rejects(show(at.context, { ref: "bse" }), { code: "NOT_FOUND", hint: 'did you mean "base"?' });
  for (const none of ["", digest.slice(0, 7), "0".repeat(64), "blake3:base", "BASE", "\u0162ase", "bas\u0165"])
    await assert.rejects(show(at.context, { ref: none }), { code: "NOT_FOUND" }, none);
});

test("show: a name that looks like a digest is a name; blake3: forces the digest", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  const other = await importLayer(at.context, { source: `${at.source}/etc`, name: digest.slice(0, 8) });
  assert.equal((await show(at.context, { ref: digest.slice(0, 8) })).digest, other.digest);
  assert.equal((await show(at.context, { ref: `blake3:${digest.slice(0, 8)}` })).digest, digest);
});

test("list: containers, then layers, by name, with parents; globs, kinds and labels choose", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  await importLayer(at.context, { source: `${at.source}/etc`, name: "app", parent: "base" });
  for (const name of ["web2", "web1", "db"]) await create(at.context, { source: "base", name, ...NO_LXC });
  await create(at.context, { source: at.source, name: "orphan", ...NO_LXC });
  const names = async (params: Parameters<typeof list>[1]): Promise<string[]> =>
    (await list(at.context, params)).map(({ name }) => name);
  assert.deepEqual(await names({}), ["db", "orphan", "web1", "web2", "app", "base"]);
  assert.deepEqual(await names({ pattern: "web*" }), ["web1", "web2"]);
  assert.deepEqual(await names({ pattern: "{a,b}*" }), ["app", "base"]);
  assert.deepEqual(await names({ only: "layers" }), ["app", "base"]);
  assert.deepEqual(await names({ only: "containers", pattern: "*b" }), ["db"]);
  assert.deepEqual(await names({ only: "running" }), []);
  assert.deepEqual(await names({ only: "stopped" }), ["db", "orphan", "web1", "web2"]);
  const items = await list(at.context);
  const parents = new Map(items.map(({ name, parent }) => [name, parent]));
  assert.equal(parents.get("app"), "base");
  assert.equal(parents.get("web1"), "base");
  assert.equal(parents.get("base"), null);
  assert.equal(parents.get("orphan"), digest, "its layer has no name: the tree's digest stands for it");
  assert.deepEqual(
    items.find(({ name }) => name === "db"),
    {
      name: "db",
      type: "container",
      parent: "base",
      created: items[0]?.created,
      digest,
      files: 6,
      sizeBytes: 300_020,
      exclusiveBytes: null,
      state: "stored",
      captured: null,
      labels: {},
      snapshots: [],
      ephemeral: false,
      expires: null,
      lxcDirectory: null,
    },
  );
});

test("list and info: what is damaged is left out and reported, all else is there; opening it says what it is", async () => {
  await using at = await openTestHost();
  for (const name of ["a", "b", "c", "d"]) {
    await writeFile(`${at.source}/own`, name);
    await importLayer(at.context, { source: at.source, name });
  }
  const layerOf = (name: string) => {
    const ref = at.store.refs.find(name);
    assert.equal(ref?.type, "layer");
    return ref.layer;
  };
  const [layerOfB, layerOfC] = [layerOf("b"), layerOf("c")];
  const treeOfC = at.store.refs.layer(layerOfC).tree;
  await at.store[Symbol.asyncDispose]();
  {
    await using meta = await Kv.open(at.store.paths.meta, { create: false });
    const garbage = Buffer.from("\x01garbage");
    await meta.write([
      { type: "put", key: nameKey("ref", "a"), value: garbage },
      { type: "put", key: digestKey("layer", layerOfB), value: garbage },
      { type: "del", key: digestKey("node", treeOfC) },
    ]);
  }
  await using store = await Store.open(at.store.paths.directory);
  const warnings: string[] = [];
  const context: Context = { store, command: "test", onWarning: (warning) => warnings.push(warning) };
  assert.deepEqual(
    (await list(context)).map(({ name }) => name),
    ["d"],
  );
  assert.deepEqual(
    warnings.map((warning) => warning[0]),
    ["a", "b", "c"],
  );
  assert.equal((await info(context)).layers, 1);
  for (const [ref, code] of [
    ["a", "FORMAT_INVALID"],
    ["b", "NODE_CORRUPT"],
    ["c", "NODE_MISSING"],
  ] as const)
    await assert.rejects(show(context, { ref }), { code });
  await remove(context, { names: ["d"] });
});

test("list: one container that cannot be captured is reported and does not hide the others", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  for (const name of ["bad", "good"]) await create(at.context, { source: at.source, name, lxcPath, ...FOR_ANYBODY });
  await runContainer(at.context, "good", (upper) => writeFileSync(`${upper}/new`, "new"));
  // A mark that no kernel makes, and none would take.
  await runContainer(at.context, "bad", (upper) => writeFileSync(`${upper}/../pending`, "nonsense"));
  await assert.rejects(show(at.context, { ref: "bad" }), { code: "FORMAT_INVALID" });
  const [bad, good] = await list(at.context);
  assert.deepEqual([bad?.state, good?.state, good?.files], ["not captured", "stopped", 7]);
  assert.equal(at.warnings.length, 1);
  await assert.rejects(list({ ...at.context, signal: AbortSignal.abort(new Error("enough")) }), /enough/);
});

test("info: counts names, and bytes of each in full, against what is stored once", async () => {
  await using at = await openTestHost();
  assert.equal((await info(at.context)).ratio, null);
  await importLayer(at.context, { source: at.source, name: "base" });
  const one = await info(at.context);
  await tag(at.context, { ref: "base", name: "same" });
  await create(at.context, { source: "base", name: "web", ...NO_LXC });
  const { logicalBytes, ratio, layers, containers, snapshots, exports, formatVersion, directory, ...usage } =
    await info(at.context);
  assert.deepEqual(
    { logicalBytes, layers, containers, snapshots, exports, formatVersion, directory },
    {
      logicalBytes: 3 * 300_020,
      layers: 2,
      containers: 1,
      snapshots: 0,
      exports: 0,
      formatVersion: 1,
      directory: `${at.path}/store`,
    },
  );
  assert.equal(ratio, logicalBytes / (usage.storedBytes + usage.nodeBytes));
  const { chunks, plainBytes, storedBytes, nodes, nodeBytes } = one;
  assert.deepEqual(usage, { chunks, plainBytes, storedBytes, nodes, nodeBytes, exportDiskBytes: 0 });
});

test("cat: gives files' bytes in order; symlinks lead on inside the tree, never out of it", async () => {
  await using at = await openTestHost();
  await symlink("/etc/hosts", `${at.source}/absolute`);
  await symlink("../../../../etc/hosts", `${at.source}/etc/climbs`);
  await symlink("/etc/passwd", `${at.source}/outside`);
  await symlink("loop", `${at.source}/loop`);
  await writeFile(`${at.source}/a:b`, "colon");
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  const read = async (...files: string[]): Promise<string> => {
    let text = "";
    const output = (bytes: Uint8Array): Promise<void> => Promise.resolve(void (text += Buffer.from(bytes).toString()));
    const { bytes } = await cat({ ...at.context, output }, { files });
    assert.equal(bytes, Buffer.byteLength(text));
    return text;
  };
  const hosts = "127.0.0.1 localhost\n";
  for (const path of ["/etc/hosts", "/etc/link", "/absolute", "/etc/climbs", "/etc/../etc/./hosts"])
    assert.equal(await read(`base:${path}`), hosts, path);
  assert.equal(
    await read("base:/a:b", `blake3:${digest}:/etc/hosts`, `${digest.slice(0, 8)}:/a:b`),
    `colon${hosts}colon`,
  );
  assert.equal((await read("base:/bin/tool")).length, 300_000);
  for (const [files, code] of [
    [["base:/outside"], "NOT_FOUND"],
    [["base:/loop"], "NOT_FOUND"],
    [["base:/etc"], "NOT_FOUND"],
    [["base:/etc/hosts/x"], "NOT_FOUND"],
    [["base:/etc/hosts", "base:/nowhere"], "NOT_FOUND"],
    [["nobody:/etc/hosts"], "NOT_FOUND"],
    [["base:etc/hosts"], "USAGE"],
    [["base"], "USAGE"],
    [["/etc/hosts"], "USAGE"],
  ] as const) {
    let given = 0;
    const output = (): Promise<void> => {
      given++;
      return Promise.resolve();
    };
    await assert.rejects(cat({ ...at.context, output }, { files }), { code }, files.join(" "));
    assert.equal(given, 0, "nothing is given out unless all is there");
  }
});

test("stat: tells of a file what its tree does, of a symlink too unless it is followed", async () => {
  await using at = await openTestHost();
  await link(`${at.source}/etc/hosts`, `${at.source}/bin/same`);
  await utimes(`${at.source}/etc/hosts`, 1, 1.5);
  await importLayer(at.context, { source: at.source, name: "base" });
  const [hosts, same, root] = await stat(at.context, { paths: ["base:/etc/hosts", "base:/bin/../bin/same", "base:/"] });
  assert.ok(hosts && same && root);
  assert.deepEqual(
    { ...hosts, mode: "", uid: 0, gid: 0, content: "" },
    {
      ref: "base",
      path: "/etc/hosts",
      type: "file",
      mode: "",
      uid: 0,
      gid: 0,
      mtime: "1970-01-01T00:00:01.500000000Z",
      sizeBytes: 20,
      content: "",
      ino: same.ino,
      nlink: 2,
    },
  );
  assert.deepEqual({ ...same, path: "" }, { ...hosts, path: "" });
  assert.deepEqual([root.path, root.type, root.ino, root.nlink], ["/", "directory", 1, 1]);
  const [itself] = await stat(at.context, { paths: ["base:/etc/link"] });
  assert.deepEqual([itself?.type, itself?.target, itself?.path], ["symlink", "hosts", "/etc/link"]);
  const [followed] = await stat(at.context, { paths: ["base:/etc/link"], follow: true });
  assert.deepEqual(followed, hosts);
  await assert.rejects(stat(at.context, { paths: ["base:/none"] }), { code: "NOT_FOUND" });
  await assert.rejects(stat(at.context, { paths: ["base"] }), { code: "USAGE" });
});

test("find: each directory before what is in it; names and types choose", async () => {
  await using at = await openTestHost();
  await writeFile(Buffer.from(`${at.source}/etc/\xff`, "latin1"), "");
  await importLayer(at.context, { source: at.source, name: "base" });
  const paths = async (params: Parameters<typeof find>[1]): Promise<string[]> =>
    (await find(at.context, params)).map(({ path }) => path);
  assert.deepEqual(await paths({ start: "base" }), [
    "/",
    "/bin",
    "/bin/tool",
    "/empty",
    "/etc",
    "/etc/hosts",
    "/etc/link",
    "/etc/\ufffd",
  ]);
  assert.deepEqual(await paths({ start: "base:/bin" }), ["/bin", "/bin/tool"]);
  assert.deepEqual(await paths({ start: "base:/etc/link" }), ["/etc/hosts"]);
  assert.deepEqual(await paths({ start: "base", name: "{h,t}o*" }), ["/bin/tool", "/etc/hosts"]);
  assert.deepEqual(await paths({ start: "base", type: "symlink" }), ["/etc/link"]);
  assert.deepEqual(await paths({ start: "base", type: "file", name: "e*" }), []);
  const [odd] = await find(at.context, { start: "base", name: "\ufffd" });
  assert.deepEqual(odd, {
    path: "/etc/\ufffd",
    pathBase64: Buffer.from("/etc/\xff", "latin1").toString("base64"),
    type: "file",
    sizeBytes: 0,
  });
  await assert.rejects(find(at.context, { start: "base:/none" }), { code: "NOT_FOUND" });
  await assert.rejects(find(at.context, { start: "nobody" }), { code: "NOT_FOUND" });
});

test("get: what comes out is what went in, with links between all that was chosen; or nothing comes out", async () => {
  await using at = await openTestHost();
  const { source } = at;
  await link(`${source}/etc/hosts`, `${source}/bin/same`);
  await link(`${source}/etc/hosts`, `${source}/elsewhere`);
  await utimes(`${source}/etc`, 5, 1.25);
  const { digest } = await importLayer(at.context, { source, name: "base" });
  const target = `${at.path}/out`;
  await mkdir(target);
  const paths = ["base:/etc", `${digest}:/bin`, "base:/etc/link"];
  const got = await get(at.context, { paths, target });
  assert.deepEqual([got.entries, got.losses], [7, []]);
  assert.deepEqual(readdirSync(target).sort(), ["bin", "etc", "link"]);
  assert.equal(readFileSync(`${target}/etc/link`, "utf8"), "127.0.0.1 localhost\n");
  const [hosts, same] = [statSync(`${target}/etc/hosts`), statSync(`${target}/bin/same`)];
  assert.equal(hosts.ino, same.ino);
  assert.equal(hosts.nlink, 2);
  assert.equal(statSync(`${target}/etc`).mtimeMs, 1250);
  assert.equal(readlinkSync(`${target}/link`), "hosts");
  assert.ok(readFileSync(`${target}/bin/tool`).equals(readFileSync(`${source}/bin/tool`)));
  for (const [chosen, place, code] of [
    [["base:/elsewhere", "base:/etc"], target, "EXISTS"],
    [["base:/elsewhere", "base:/none"], target, "NOT_FOUND"],
    [["base:/elsewhere"], `${target}/none`, "NOT_FOUND"],
    [["base:/elsewhere"], `${target}/link`, "NOT_FOUND"],
    [["base:/"], target, "USAGE"],
    [["base:/bin/..", "base:/elsewhere"], target, "USAGE"],
    [["base:/elsewhere", `${digest}:/elsewhere`], target, "USAGE"],
  ] as const)
    await assert.rejects(get(at.context, { paths: chosen, target: place }), { code }, chosen.join(" "));
  assert.deepEqual(readdirSync(target).sort(), ["bin", "etc", "link"]);
});

test("operations that read a container see what a stopped one left and nobody captured", async () => {
  await using at = await openTestHost();
  const { lxcPath, context } = at;
  await utimes(at.source, 1, 1);
  const readers: Readonly<Record<string, () => Promise<unknown>>> = {
    status: () => status(context, { name: "web" }),
    show: () => show(context, { ref: "web" }),
    list: () => list(context),
    cat: () => cat(context, { files: ["web:/new"] }),
    stat: () => stat(context, { paths: ["web:/new"] }),
    find: () => find(context, { start: "web" }),
    openView: () => openView(context, { ref: "web" }),
    capture: () => capture(context, { name: "web" }),
    tag: () => tag(context, { ref: "web", name: "tagged" }),
    create: () => create(context, { source: "web", name: "made", ...NO_LXC }),
  };
  for (const [verb, read] of Object.entries(readers)) {
    await create(context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
    await runContainer(context, "web", (upper) => writeFileSync(`${upper}/new`, verb));
    await read();
    const { container, files } = await show(context, { ref: "web" });
    assert.equal(files, 7, verb);
    assert.equal(container?.generation, 2, `${verb}: captured once`);
    await remove(context, { names: ["web"] });
  }
  assert.equal((await show(context, { ref: "tagged" })).files, 7);
  assert.equal((await show(context, { ref: "made" })).files, 7);
});
