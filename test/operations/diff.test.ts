import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { clone, create, diff, exportTree, importLayer, put, snapshot, status, writePatch } from "../../src/index.ts";
import type { ChangeDescription, Context, DiffParams } from "../../src/index.ts";
import { openTestHost } from "./support.ts";
import type { TestHost } from "./support.ts";

const NO_LXC = { noLxc: true } as const;

/** "kind path", with what differs, and where it was. */
function brief({ kind, path, from, differs }: ChangeDescription): string {
  const what = differs.length > 0 ? ` ${differs.join(",")}` : "";
  return `${kind} ${from === undefined ? "" : `${from} -> `}${path === "" ? "/" : path}${what}`;
}

async function listed(context: Context, params: DiffParams): Promise<string[]> {
  return (await diff(context, params)).changes.map(brief);
}

/** Imports the source as it is, as `one`; does `change` to it, and imports it as `two`, above the first. */
async function twoLayers(at: TestHost, change: (source: string) => void): Promise<void> {
  await importLayer(at.context, { source: at.source, name: "one" });
  change(at.source);
  await importLayer(at.context, { source: at.source, name: "two", parent: "one" });
}

test("diff: each kind of change with what differs; a layer alone is compared with its parent", async () => {
  await using at = await openTestHost();
  writeFileSync(`${at.source}/etc/text`, "same size");
  linkSync(`${at.source}/etc/text`, `${at.source}/etc/other-name`);
  for (const path of ["etc", "bin", "empty", "etc/text", "bin/tool"]) utimesSync(`${at.source}/${path}`, 1, 1);
  await twoLayers(at, (source) => {
    writeFileSync(`${source}/etc/hosts`, "other\n");
    unlinkSync(`${source}/etc/link`);
    symlinkSync("elsewhere", `${source}/etc/link`);
    unlinkSync(`${source}/etc/other-name`);
    chmodSync(`${source}/bin/tool`, 0o700);
    rmSync(`${source}/empty`, { recursive: true });
    writeFileSync(`${source}/empty`, "");
    renameSync(`${source}/bin/tool`, `${source}/tool`);
    for (const path of ["etc", "bin"]) utimesSync(`${source}/${path}`, 1, 1);
  });
  const changes = await listed(at.context, { a: "two" });
  assert.match(changes.shift() ?? "", /^metadata \/ mtime$/);
  assert.deepEqual(changes, [
    "replaced empty type,mode,mtime",
    "changed etc/hosts content,mtime",
    "changed etc/link target,mtime",
    "removed etc/other-name",
    "metadata etc/text links",
    "renamed bin/tool -> tool mode",
  ]);
  const { a, b, totals } = await diff(at.context, { a: "two" });
  assert.deepEqual([a.ref, a.type, b.ref, b.type], ["parent of two", "layer", "two", "layer"]);
  const { addedBytes, removedBytes, ...counts } = totals;
  assert.deepEqual(counts, { added: 0, removed: 1, changed: 2, replaced: 1, metadata: 2, renamed: 1 });
  assert.deepEqual([addedBytes, removedBytes], [0, 14 + 9]);
  const back = await listed(at.context, { a: "two", b: "one" });
  assert.ok(back.includes("renamed tool -> bin/tool mode") && back.includes("added etc/other-name"));
  assert.deepEqual(await listed(at.context, { a: "one", b: "one" }), []);
  assert.equal((await diff(at.context, { a: "one" })).a.type, "nothing");
});

test("diff: a container alone is compared with what it stands on, as status does; a snapshot with its base", async () => {
  await using at = await openTestHost();
  await create(at.context, { source: at.source, name: "web", ...NO_LXC });
  writeFileSync(`${at.path}/new`, "new");
  await put(at.context, { sources: [`${at.path}/new`], target: "web:/etc/new" });
  await snapshot(at.context, { name: "web" });
  const expected = await listed(at.context, { a: "web" });
  assert.ok(expected.includes("added etc/new"));
  assert.deepEqual((await status(at.context, { name: "web" })).changes.map(brief), expected);
  assert.deepEqual(await listed(at.context, { a: "web@snap0" }), expected);
  await clone(at.context, { ref: "web", names: ["web2"], ...NO_LXC });
  assert.deepEqual(await listed(at.context, { a: "web", b: "web2" }), []);
  const only = await status(at.context, { name: "web", paths: ["/etc/new"] });
  assert.deepEqual(only.changes.map(brief), ["added etc/new"]);
  assert.equal(only.totals.addedBytes, 3);
});

test("diff: paths choose, also inside what is gone with its directory; --ignore leaves out just what it says", async () => {
  await using at = await openTestHost();
  for (const directory of ["var/log/app", "var/cache/apt", "var/lib/x/__pycache__", "srv/deep/er", "home/me/.cache"])
    mkdirSync(`${at.source}/${directory}`, { recursive: true });
  writeFileSync(`${at.source}/srv/deep/er/file`, "content");
  await twoLayers(at, (source) => {
    writeFileSync(`${source}/var/log/app/new.log`, "log");
    writeFileSync(`${source}/var/log.txt`, "no log");
    writeFileSync(`${source}/var/cache/apt/pkgcache.bin`, "cache");
    writeFileSync(`${source}/var/lib/x/__pycache__/a.pyc`, "cache");
    writeFileSync(`${source}/home/me/.cache/x`, "cache");
    writeFileSync(`${source}/etc/ld.so.cache`, "cache");
    rmSync(`${source}/srv`, { recursive: true });
    utimesSync(`${source}/bin/tool`, 5, 5);
  });
  const chosen = (paths: string[]): Promise<string[]> => listed(at.context, { a: "two", paths, ignore: ["mtime"] });
  assert.deepEqual(await chosen(["/srv/deep/er/", "srv/deep"]), ["removed srv/deep"]);
  assert.deepEqual(await chosen(["/srv/deep/er/file", "/srv/none"]), ["removed srv/deep/er/file"]);
  assert.deepEqual(await chosen(["/bin"]), []);
  assert.deepEqual(await listed(at.context, { a: "two", paths: ["bin"] }), ["metadata bin/tool mtime"]);
  const ignore = ["logs", "cache"] as const;
  assert.deepEqual(await chosen(["/"]), await listed(at.context, { a: "two", ignore: ["mtime"] }));
  const left = await listed(at.context, { a: "two", ignore: [...ignore, "mtime"] });
  assert.deepEqual(left, ["removed srv", "added var/log.txt"]);
  const timed = await listed(at.context, { a: "two", ignore });
  assert.deepEqual(
    timed.filter((line) => /cache|log/.test(line)),
    ["added var/log.txt"],
  );
  await assert.rejects(listed(at.context, { a: "two", paths: ["../etc"] }), { code: "USAGE" });
});

test("diff: a directory of the host on either side; what is exported differs in nothing, and nothing of it is kept", async () => {
  await using at = await openTestHost();
  await importLayer(at.context, { source: at.source, name: "base" });
  const usage = await at.store.usage();
  assert.deepEqual(await listed(at.context, { a: "base", b: `dir:${at.source}` }), []);
  await exportTree(at.context, { ref: "base", target: `${at.path}/out` });
  assert.deepEqual(await listed(at.context, { a: `dir:${at.path}/out`, b: "base" }), []);
  writeFileSync(`${at.path}/out/etc/hosts`, Buffer.alloc(300_000, "new"));
  renameSync(`${at.path}/out/bin/tool`, `${at.path}/out/bin/tool2`);
  const ignore = ["mtime"] as const;
  assert.deepEqual(await listed(at.context, { a: "base", b: `dir:${at.path}/out`, ignore }), [
    "renamed bin/tool -> bin/tool2",
    "changed etc/hosts content,mtime",
  ]);
  await at.store.change({ command: "a test" }, []);
  assert.deepEqual(await at.store.usage(), usage);
  for (const [a, b, code] of [
    [`dir:${at.path}/none`, "base", "NOT_FOUND"],
    ["base", `dir:${at.path}/out/etc/hosts`, "SOURCE_INVALID"],
    [`dir:${at.path}/out`, undefined, "USAGE"],
    ["base", "bse", "NOT_FOUND"],
  ] as const)
    await assert.rejects(diff(at.context, { a, ...(b !== undefined && { b }) }), { code }, `${a} ${b ?? ""}`);
  const { digest } = await importLayer(at.context, { source: at.source, name: "again" });
  await assert.rejects(diff(at.context, { a: digest }), { code: "USAGE" });
});

async function patchOf(context: Context, params: DiffParams): Promise<Buffer> {
  const parts: Buffer[] = [];
  const output = (bytes: Uint8Array): Promise<void> => Promise.resolve(void parts.push(Buffer.from(bytes)));
  await writePatch({ ...context, output }, params);
  return Buffer.concat(parts);
}

test("diff -p: git apply makes the one tree of the other: texts, modes, symlinks, renames, types, odd names and bytes", async () => {
  await using at = await openTestHost();
  const odd = Buffer.from(`${at.source}/od\xff "d\n\u00e9`, "latin1");
  writeFileSync(odd, "a\nb\n");
  writeFileSync(`${at.source}/with blank`, "a\n");
  writeFileSync(`${at.source}/no-newline`, "a\nb");
  writeFileSync(`${at.source}/etc/latin1`, Buffer.from("caf\xe9\r\n\x0c\n", "latin1"));
  writeFileSync(`${at.source}/moves`, "moves\n");
  mkdirSync(`${at.source}/gone/sub`, { recursive: true });
  writeFileSync(`${at.source}/gone/sub/file`, "gone\n");
  writeFileSync(`${at.source}/gone/kept`, "kept\n");
  await twoLayers(at, (source) => {
    execFileSync("cp", ["-a", source, `${at.path}/work`]);
    writeFileSync(odd, "a\nc\n");
    writeFileSync(`${source}/with blank`, "a\nb\n");
    writeFileSync(`${source}/no-newline`, "a\nc");
    writeFileSync(`${source}/etc/latin1`, Buffer.from("caf\xe8\r\nmore\n", "latin1"));
    writeFileSync(`${source}/empty-file`, "");
    writeFileSync(`${source}/script`, "#!/bin/sh\n", { mode: 0o755 });
    chmodSync(`${source}/etc/hosts`, 0o755);
    renameSync(`${source}/moves`, `${source}/moved`);
    renameSync(`${source}/gone/kept`, `${source}/kept`);
    rmSync(`${source}/gone`, { recursive: true });
    unlinkSync(`${source}/etc/link`);
    writeFileSync(`${source}/etc/link`, "a file now\n");
    symlinkSync("script", `${source}/new-link`);
  });
  const patch = await patchOf(at.context, { a: "one", b: "two" });
  writeFileSync(`${at.path}/patch`, patch);
  execFileSync("git", ["apply", `${at.path}/patch`], { cwd: `${at.path}/work`, stdio: "pipe" });
  const ignore = ["mtime"] as const;
  const left = await diff(at.context, { a: "two", b: `dir:${at.path}/work`, ignore });
  assert.deepEqual(left.changes.filter(({ after, before }) => (after ?? before)?.type !== "directory").map(brief), []);
  assert.match(patch.toString("latin1"), /^# gone\/?: removed directory/m);
  const inDocument = await diff(at.context, { a: "one", b: "two", patch: true });
  const texts = inDocument.changes.map(({ patch: text = "", patchBase64 }) =>
    patchBase64 === undefined ? Buffer.from(text) : Buffer.from(patchBase64, "base64"),
  );
  assert.deepEqual(Buffer.concat(texts), patch);
});

test("diff -p: random texts, put together from lines or with much that differs, come out by git apply", async () => {
  await using at = await openTestHost();
  mkdirSync(`${at.path}/work`);
  const line = fc.constantFrom("a\n", "b\n", "\n", "\r\n", "c", "\\ No newline\n", "-x\n", "+\n", "@@ -1 +1 @@\n");
  const text = fc.array(line, { maxLength: 12 }).map((lines) => lines.join(""));
  let run = 0;
  const check = async (was: string, is: string): Promise<void> => {
    const names = [`w${run}`, `i${run}`] as const;
    run++;
    for (const [name, content] of [
      [names[0], was],
      [names[1], is],
    ] as const) {
      mkdirSync(`${at.path}/${name}`);
      writeFileSync(`${at.path}/${name}/f`, content);
      await importLayer(at.context, { source: `${at.path}/${name}`, name });
    }
    writeFileSync(`${at.path}/patch`, await patchOf(at.context, { a: names[0], b: names[1], ignore: ["mtime"] }));
    writeFileSync(`${at.path}/work/f`, was);
    if (was !== is)
      execFileSync("git", ["apply", "--whitespace=nowarn", `${at.path}/patch`], { cwd: `${at.path}/work` });
    assert.equal(readFileSync(`${at.path}/work/f`, "latin1"), is);
  };
  await fc.assert(fc.asyncProperty(text, text, check), { numRuns: 40 });
  const numbered = (prefix: string): string => Array.from({ length: 6000 }, (_, i) => `${prefix}${i}\n`).join("");
  const start = performance.now();
  await check(numbered("a"), `${numbered("b")}end`);
  assert.ok(performance.now() - start < 5000, "what differs in all is not searched for what is the same");
});

test("diff -p: binary and large files are told of, not shown", async () => {
  await using at = await openTestHost();
  writeFileSync(`${at.source}/binary`, "a\0b");
  writeFileSync(`${at.source}/large`, Buffer.alloc((1 << 20) + 1, "a\n"));
  await twoLayers(at, (source) => {
    writeFileSync(`${source}/binary`, "a\0c");
    writeFileSync(`${source}/large`, "a\n");
  });
  const patch = (await patchOf(at.context, { a: "two" })).toString();
  assert.match(patch, /^Binary files a\/binary and b\/binary differ$/m);
  assert.match(patch, /^Binary files a\/large and b\/large differ$/m);
  assert.ok(patch.length < 2000);
});
