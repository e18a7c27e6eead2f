import assert from "node:assert/strict";
import { once } from "node:events";
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { chmod, chown, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { clone, create, exportTree, importLayer, list, show, Store } from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { archive, END, entry } from "../sources/tar-support.ts";
import { requireCommands } from "../support/requirements.ts";
import { hasCommand, isRoot, run } from "../support/run.ts";
import { assertNothingHalfMade, openTestHost } from "./support.ts";
import type { TestHost } from "./support.ts";

/** A store with something in it that must not suffer. */
async function hostWithState(): Promise<TestHost> {
  const at = await openTestHost();
  await importLayer(at.context, { source: at.source, name: "base" });
  await create(at.context, { source: "base", name: "web", lxcPath: at.lxcPath });
  return at;
}

/** Does what must fail, and then looks whether all is as it was. */
async function failing(
  at: TestHost,
  attempt: (context: Context) => Promise<unknown>,
  expected: object | RegExp,
  what?: string,
): Promise<void> {
  const before = await stateOf(at);
  await assert.rejects(attempt(at.context), expected, what);
  assert.deepEqual(await stateOf(at), before, what);
  assertNothingHalfMade(at, at.lxcPath, at.path);
}

async function stateOf(at: TestHost): Promise<unknown> {
  return [await list(at.context), await readdir(at.lxcPath), at.store.exports.keys(), await readdir(at.path)];
}

/** Ends a test: the store opens again, and what was there can be read. */
async function assertOpensAgain(at: TestHost): Promise<void> {
  await at.store[Symbol.asyncDispose]();
  await using store = await Store.open(at.store.paths.directory, { waitSeconds: 0 });
  const context = { store, command: "test" };
  assert.deepEqual(
    (await list(context)).map(({ name }) => name),
    ["web", "base"],
  );
  await exportTree(context, { ref: "web", target: `${at.path}/whole` });
  assert.equal(await readFile(`${at.path}/whole/etc/hosts`, "utf8"), "127.0.0.1 localhost\n");
}

test("bad input: a tar cut short anywhere, or damaged under compression, is no layer", async () => {
  await using at = await hostWithState();
  const tar = `${at.path}/x.tar`;
  await run("tar", ["--format=pax", "-cf", tar, "-C", at.source, "."]);
  const bytes = await readFile(tar);
  const cut = `${at.path}/cut`;
  await writeFile(cut, "");
  for (const length of [1, 100, 511, 513, 1500, 5000, 200_000, 300_000]) {
    await writeFile(cut, bytes.subarray(0, length));
    await failing(at, (c) => importLayer(c, { source: cut, name: "cut" }), { code: "SOURCE_INVALID" }, `${length}`);
  }
  for (const [program, suffix] of [
    ["gzip", "gz"],
    ["zstd", "zst"],
    ["xz", "xz"],
  ] as const) {
    if (!hasCommand(program)) continue;
    await run(program, ["-q", "-k", "-f", tar]);
    const packed = await readFile(`${tar}.${suffix}`);
    await writeFile(cut, packed.subarray(0, packed.length - 9));
    await failing(at, (c) => importLayer(c, { source: cut, name: "cut" }), { code: "SOURCE_INVALID" }, program);
    // Of a single bit a decoder may have no use.
    const middle = Math.floor(packed.length / 2);
    const damaged = Buffer.from(packed).fill(0xa5, middle, middle + 32);
    await writeFile(cut, damaged);
    await failing(at, (c) => create(c, { source: cut, name: "cut", noLxc: true }), { code: "SOURCE_INVALID" }, program);
  }
  await assertOpensAgain(at);
});

test("bad input: a tar that leads out of its tree is refused as a whole", async () => {
  await using at = await hostWithState();
  const good = entry({ name: "good" }, "good");
  const source = `${at.path}/evil.tar`;
  await writeFile(source, "");
  for (const [what, ...parts] of [
    ["a name with ..", entry({ name: "../evil" }, "evil")],
    ["a name with .. inside", entry({ name: "a/../../evil" }, "evil")],
    ["a hard link to outside", entry({ name: "evil", type: "1", linkName: "../../etc/passwd" })],
    ["a hard link to nothing", entry({ name: "evil", type: "1", linkName: "etc/passwd" })],
    ["through a symlink", entry({ name: "evil", type: "2", linkName: "/etc" }), entry({ name: "evil/passwd" }, "x")],
    ["through a file", entry({ name: "good/evil" }, "x")],
    ["a wrong check sum", entry({ name: "evil", checksum: "wrong" }, "x")],
    ["no tar", Buffer.alloc(1024, "no tar")],
  ] as const) {
    await writeFile(source, archive(good, ...parts, END));
    await failing(at, (c) => importLayer(c, { source, name: "evil" }), { code: "SOURCE_INVALID" }, what);
  }
  await assertOpensAgain(at);
});

test("bad input: what is neither a directory nor a file, or is missing, is said to be so", async () => {
  await using at = await hostWithState();
  await run("mkfifo", [`${at.path}/fifo`]);
  await using server = createServer().listen(`${at.path}/socket`);
  await once(server, "listening");
  for (const [source, code] of [
    ["/dev/null", "SOURCE_INVALID"],
    [`${at.path}/fifo`, "SOURCE_INVALID"],
    [`${at.path}/socket`, "SOURCE_INVALID"],
    [`${at.path}/nowhere`, "NOT_FOUND"],
    [`${at.source}/etc/hosts/below`, "NOT_FOUND"],
    [`oci:${at.source}`, "SOURCE_INVALID"],
  ] as const)
    await failing(at, (c) => importLayer(c, { source, name: "bad" }), { code }, source);
  await assertOpensAgain(at);
});

test("bad input: a file that never rests while it is read ends the import, and is named", async () => {
  await using at = await hostWithState();
  const source = `${at.path}/restless`;
  await mkdir(source);
  // So large that each try has a pause in its middle.
  await writeFile(`${source}/log`, Buffer.alloc(36_000_000, "log"));
  const onProgress = (): void => appendFileSync(`${source}/log`, "more");
  await failing(at, (c) => importLayer({ ...c, onProgress }, { source, name: "bad" }), {
    code: "SOURCE_INVALID",
    message: /restless\/log/,
  });
  await importLayer(at.context, { source, name: "at-rest" });
});

test("bad input: a file, and a directory, that vanish while their source is read end the import", async () => {
  await using at = await hostWithState();
  const source = `${at.path}/vanishing`;
  for (const victim of ["f0299", "sub"]) {
    await mkdir(`${source}/sub`, { recursive: true });
    for (let i = 0; i < 300; i++) writeFileSync(`${source}/f${String(i).padStart(4, "0")}`, "");
    // The first batch is read, and all names are listed.
    const onProgress = (): void => rmSync(`${source}/${victim}`, { recursive: true, force: true });
    await failing(at, (c) => importLayer({ ...c, onProgress }, { source, name: "bad" }), { code: "SOURCE_INVALID" });
    await rm(source, { recursive: true });
    await mkdir(source);
  }
  await rm(source, { recursive: true });
  await assertOpensAgain(at);
});

test("bad input: what this user may not read, or a store that is another's, is NOT_PERMITTED", async (t) => {
  if (isRoot() && !requireCommands(t, "setpriv")) return;
  await using at = await openTestHost();
  const home = `${at.path}/home`;
  await mkdir(home);
  if (isRoot()) await chown(home, NOBODY, NOBODY);
  const tar = `${at.path}/x.tar`;
  await run("tar", ["-cf", tar, "-C", at.source, "."]);
  const attempt = async (source: string): Promise<string> => (await asNobody(`${home}/store`, source)).trim();
  const digest = await attempt(at.source);
  assert.match(digest, /^[0-9a-f]{64}$/);
  for (const [path, source] of [
    [`${at.source}/etc/hosts`, at.source],
    [`${at.source}/etc`, at.source],
    [at.source, at.source],
    [tar, tar],
  ] as const) {
    await chmod(path, 0);
    assert.equal(await attempt(source), "NOT_PERMITTED", path);
    await chmod(path, path === tar ? 0o644 : 0o755);
  }
  if (isRoot()) {
    assert.equal((await asNobody(at.store.paths.directory, at.source)).trim(), "NOT_PERMITTED", "another's store");
    assert.equal((await asNobody(`${at.path}/new`, at.source)).trim(), "NOT_PERMITTED", "another's directory");
  }
});

test("abort: of an import, an export and a clone leaves nothing, and gives the signal's reason", async () => {
  await using at = await hostWithState();
  const many = `${at.path}/many`;
  await mkdir(many);
  for (let i = 0; i < 3000; i++) writeFileSync(`${many}/f${i}`, `${i}`);
  await importLayer(at.context, { source: many, name: "many" });
  const tar = `${at.path}/many.tar`;
  await exportTree(at.context, { ref: "many", target: tar });
  const names = Array.from({ length: 300 }, (_, i) => `c${i}`);
  const attempts: Readonly<Record<string, (context: Context) => Promise<unknown>>> = {
    "import of a directory": (c) => importLayer(c, { source: many, name: "new" }),
    "import of a tar": (c) => importLayer(c, { source: tar, name: "new-too" }),
    "export to a directory": (c) => exportTree(c, { ref: "many", target: `${at.path}/out` }),
    "export to a tar": (c) => exportTree(c, { ref: "many", target: `${at.path}/out.tar` }),
    clone: (c) => clone(c, { ref: "web", names, lxcPath: at.lxcPath }),
    create: (c) => create(c, { source: many, name: "made", lxcPath: at.lxcPath }),
  };
  for (const [what, attempt] of Object.entries(attempts)) {
    const onTheWay = new AbortController();
    const onProgress = (): void => onTheWay.abort(new Error("enough"));
    await failing(at, (c) => attempt({ ...c, onProgress, signal: onTheWay.signal }), /enough/, what);
    const signal = AbortSignal.abort(new Error("not even begun"));
    await failing(at, (c) => attempt({ ...c, signal }), /not even begun/, what);
  }
  for (const attempt of Object.values(attempts)) await attempt(at.context);
  assert.equal((await show(at.context, { ref: "new" })).files, 3000);
});

const NOBODY = 65534;

/** @returns what the worker says */
function asNobody(store: string, source: string): Promise<string> {
  const worker = [process.execPath, "--import", "tsx", fileURLToPath(new URL("worker.ts", import.meta.url))];
  const user = isRoot() ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"] : [];
  const [command, ...args] = [...user, ...worker, store, source];
  return run(command, args, { env: { HOME: "/nonexistent" } });
}
