import assert from "node:assert/strict";
import { chmodSync, linkSync, mkdirSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import {
  chmodFiles,
  chownFiles,
  create,
  exportTree,
  find,
  get,
  getXattr,
  importLayer,
  linkFiles,
  listXattrs,
  makeDirectories,
  moveFiles,
  openContainer,
  openView,
  put,
  removeXattr,
  setXattr,
  show,
  stat,
  unlinkFiles,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { parseXattrValue, xattrValueText } from "../../src/operations/xattr-value.ts";
import { compareManifests } from "../support/compare.ts";
import { isRoot, run } from "../support/run.ts";
import type { TestHost } from "./support.ts";
import { FOR_ANYBODY, openTestHost, runContainer } from "./support.ts";

const ODD = Buffer.from("\xff -r\n", "latin1");

async function openWeb(): Promise<TestHost> {
  const at = await openTestHost();
  await create(at.context, { source: at.source, name: "web", noLxc: true });
  return at;
}

async function digestOf(context: Context, ref: string): Promise<string> {
  return (await show(context, { ref })).digest;
}

/** A directory with all that any user may make. */
async function oddTree(path: string): Promise<string> {
  mkdirSync(`${path}/sub/below`, { recursive: true });
  writeFileSync(Buffer.concat([Buffer.from(`${path}/sub/`), ODD]), "odd");
  writeFileSync(`${path}/file`, Buffer.alloc(400_000, "content"), { mode: 0o640 });
  linkSync(`${path}/file`, `${path}/sub/below/also`);
  writeFileSync(`${path}/sparse`, "begin");
  truncateSync(`${path}/sparse`, 5_000_000);
  symlinkSync("/nowhere", `${path}/sub/link`);
  await run("mkfifo", [`${path}/fifo`]);
  if (isRoot()) await run("mknod", [`${path}/null`, "c", "1", "3"]);
  chmodSync(`${path}/sub`, 0o1711);
  utimesSync(`${path}/sub/below`, 1, 1234567890.5);
  return path;
}

test("put: a directory's content in an empty container is the directory imported; got again it is the same", async () => {
  await using at = await openTestHost();
  const tree = await oddTree(`${at.path}/tree`);
  const { digest } = await importLayer(at.context, { source: tree, name: "tree" });
  mkdirSync(`${at.path}/nothing`);
  await create(at.context, { source: `${at.path}/nothing`, name: "web", noLxc: true });
  const done = await put(at.context, { sources: [`${tree}/.`], target: "web:/" });
  assert.equal(done.digest, digest);
  assert.equal(await digestOf(at.context, "web"), digest);

  await put(at.context, { sources: [`${tree}/../tree`, `${tree}/file`], target: "web:/sub" });
  mkdirSync(`${at.path}/out`);
  await get(at.context, { paths: ["web:/sub/tree"], target: `${at.path}/out` });
  assert.deepEqual(await compareManifests(tree, `${at.path}/out/tree`), []);
});

test("put: hard links between files of one directory stay, whichever of them are named", async () => {
  await using at = await openWeb();
  const tree = `${at.path}/tree`;
  mkdirSync(tree);
  writeFileSync(`${tree}/a`, "one");
  for (const name of ["b", "c"]) linkSync(`${tree}/a`, `${tree}/${name}`);
  await put(at.context, { sources: [`${tree}/a`, `${tree}/c`], target: "web:/empty" });
  const [a, c] = await stat(at.context, { paths: ["web:/empty/a", "web:/empty/c"] });
  assert.deepEqual([a?.nlink, a?.ino], [2, c?.ino]);
});

test("put: directories merge, files are replaced, and neither takes the other's place", async () => {
  await using at = await openWeb();
  const tree = `${at.path}/etc`;
  mkdirSync(`${tree}/new`, { recursive: true });
  writeFileSync(`${tree}/hosts`, "other");
  chmodSync(tree, 0o751);
  await put(at.context, { sources: [tree], target: "web:/" });
  const [etc, hosts, link] = await stat(at.context, { paths: ["web:/etc", "web:/etc/hosts", "web:/etc/link"] });
  assert.deepEqual([etc?.mode, hosts?.sizeBytes, link?.target], ["0751", 5, "hosts"]);

  const before = await digestOf(at.context, "web");
  writeFileSync(`${tree}/z`, "never there");
  for (const [sources, target, noTargetDirectory] of [
    [[tree], "web:/etc/hosts", false],
    [[`${tree}/hosts`], "web:/etc", true],
    [[tree], "web:/etc/link", true],
  ] as const)
    await assert.rejects(put(at.context, { sources, target, noTargetDirectory }), { code: "EXISTS" }, target);
  mkdirSync(`${at.path}/clash/etc/hosts`, { recursive: true });
  await assert.rejects(put(at.context, { sources: [`${at.path}/clash/etc`], target: "web:/" }), { code: "EXISTS" });
  for (const [sources, target, code] of [
    [[tree], "web:/none/etc", "NOT_FOUND"],
    [[tree], "web:/etc/hosts/x", "NOT_FOUND"],
    [[`${tree}/hosts`], "web:/none/", "NOT_FOUND"],
    [[`${tree}/hosts`], `web:/${"n".repeat(256)}`, "NOT_FOUND"],
    [[`${tree}/none`], "web:/", "NOT_FOUND"],
    [[`${tree}/hosts/.`], "web:/", "NOT_FOUND"],
    [[tree, `${at.path}/clash/etc`], "web:/", "USAGE"],
    [[tree, `${tree}/hosts`], "web:/new", "USAGE"],
    [[tree, "-"], "web:/", "USAGE"],
    [[tree], "web", "USAGE"],
  ] as const)
    await assert.rejects(put(at.context, { sources, target }), { code }, target);
  assert.equal(await digestOf(at.context, "web"), before);
  await assert.rejects(
    put({ ...at.context, signal: AbortSignal.abort(new Error("enough")) }, { sources: [tree], target: "web:/empty" }),
    /enough/,
  );
  assert.equal(await digestOf(at.context, "web"), before);
});

test("put: standard input is a file's bytes, whose owner, mode and other names stay", async () => {
  await using at = await openWeb();
  await chmodFiles(at.context, { paths: ["web:/bin/tool"], mode: "700" });
  await linkFiles(at.context, { targets: ["web:/bin/tool"], path: "web:/bin/again" });
  const input = (async function* () {
    for (let i = 0; i < 30; i++) yield Buffer.alloc(100_000, i);
  })();
  const done = await put({ ...at.context, input }, { sources: ["-"], target: "web:/bin/tool" });
  assert.equal(done.bytes, 3_000_000);
  const [again] = await stat(at.context, { paths: ["web:/bin/again"] });
  assert.deepEqual([again?.sizeBytes, again?.mode, again?.nlink], [3_000_000, "0700", 2]);
  const view = await openView(at.context, { ref: "web" });
  assert.deepEqual(
    [...view.readFileSync("/bin/again")].filter((byte, i) => byte !== Math.floor(i / 100_000)),
    [],
  );
});

test("put: an empty file is put; one that only says that it is empty is refused, not put as such", async () => {
  await using at = await openWeb();
  const { context } = at;
  writeFileSync(`${at.path}/nothing`, "");
  await put(context, { sources: [`${at.path}/nothing`], target: "web:/nothing" });
  assert.equal((await stat(context, { paths: ["web:/nothing"] }))[0]?.sizeBytes, 0);
  await assert.rejects(put(context, { sources: ["/proc/version"], target: "web:/version" }), { code: "USAGE" });
  await assert.rejects(stat(context, { paths: ["web:/version"] }), { code: "NOT_FOUND" });
});

test("change: what of several paths fails leaves all as it was, and says which", async () => {
  await using at = await openWeb();
  await create(at.context, { source: at.source, name: "db", noLxc: true });
  const before = [await digestOf(at.context, "web"), await digestOf(at.context, "db")];
  const paths = ["web:/etc/hosts", "db:/etc/hosts", "db:/none", "web:/bin"];
  const { context } = at;
  for (const change of [
    () => unlinkFiles(context, { paths }),
    () => chmodFiles(context, { paths, mode: "0" }),
    () => chownFiles(context, { paths, owner: "1:1" }),
    () => setXattr(context, { paths, attribute: "user.a", value: "b" }),
  ])
    await assert.rejects(change(), { code: "NOT_FOUND", message: /^db:\/none: / });
  await assert.rejects(makeDirectories(context, { paths: ["web:/a", "web:/b/c"] }), { code: "NOT_FOUND" });
  await assert.rejects(moveFiles(context, { paths: ["web:/etc/hosts", "web:/none"], target: "web:/empty" }), {
    code: "NOT_FOUND",
  });
  await assert.rejects(linkFiles(context, { targets: ["web:/etc/hosts", "web:/bin"], path: "web:/empty" }), {
    code: "USAGE",
  });
  assert.deepEqual([await digestOf(at.context, "web"), await digestOf(at.context, "db")], before);

  const { containers } = await chmodFiles(context, { paths: ["web:/etc/hosts", "db:/bin/tool"], mode: "600" });
  assert.deepEqual(
    containers.map(({ name }) => name),
    ["web", "db"],
  );
  assert.deepEqual(
    containers.map(({ digest }) => digest),
    [await digestOf(at.context, "web"), await digestOf(at.context, "db")],
  );
});

test("change: layers and trees are refused, as is what runs; what a stopped container left is captured first", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  await create(at.context, { source: "base", name: "web", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  for (const ref of ["base", digest, `blake3:${digest}`]) {
    await assert.rejects(makeDirectories(at.context, { paths: [`${ref}:/x`] }), { code: "USAGE" }, ref);
    await assert.rejects(put(at.context, { sources: [at.source], target: `${ref}:/` }), { code: "USAGE" }, ref);
  }
  await assert.rejects(makeDirectories(at.context, { paths: ["wbe:/x"] }), { code: "NOT_FOUND" });

  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/left`, "left"));
  await makeDirectories(at.context, { paths: ["web:/made"] });
  assert.deepEqual(
    (await find(at.context, { start: "web", name: "{left,made}" })).map(({ path }) => path),
    ["/left", "/made"],
  );
  await put(at.context, { sources: [`${at.source}/etc/hosts`], target: "web:/made" });
  assert.equal((await find(at.context, { start: "web:/made" })).length, 2);
});

test("change: views that are open see that the container was changed otherwise, and lose nothing", async () => {
  await using at = await openWeb();
  await using view = await openContainer(at.context, { name: "web" });
  await view.promises.writeFile("/by-view", "view");
  await makeDirectories(at.context, { paths: ["web:/by-command"] });
  await assert.rejects(view.promises.writeFile("/late", "late"), { code: "EBUSY" });
  await using again = await openContainer(at.context, { name: "web" });
  assert.deepEqual(
    again.readdirSync("/").filter((name) => name.startsWith("by-")),
    ["by-command", "by-view"],
  );
});

test("mkdir, mv, ln: what coreutils' would do, of names, directories and what is in the way", async () => {
  await using at = await openWeb();
  const { context } = at;
  await makeDirectories(context, { paths: ["web:/a/b", "web:/etc"], parents: true });
  await makeDirectories(context, { paths: ["web:/m"], mode: "u=rwx,go=" });
  await assert.rejects(makeDirectories(context, { paths: ["web:/etc/hosts/x"], parents: true }), {
    code: /^(EXISTS|NOT_FOUND)$/,
  });
  await assert.rejects(makeDirectories(context, { paths: ["web:/etc/hosts"], parents: true }), { code: "EXISTS" });
  await assert.rejects(makeDirectories(context, { paths: ["web:/x"], mode: "rw" }), { code: "USAGE" });

  const moved = await moveFiles(context, { paths: ["web:/etc", "web:/bin/tool"], target: "web:/a" });
  assert.deepEqual(
    moved.items.map(({ to }) => to),
    ["/a/etc", "/a/tool"],
  );
  await moveFiles(context, { paths: ["web:/a/tool"], target: "web:/a/etc/hosts" });
  await moveFiles(context, { paths: ["web:/m"], target: "web:/empty", noTargetDirectory: true });
  for (const [paths, target, code] of [
    [["web:/a"], "web:/a/b/c", "USAGE"],
    [["web:/a"], "db:/a", "USAGE"],
    [["web:/a/b"], "web:/a/etc/hosts", "EXISTS"],
    [["web:/none"], "web:/x", "NOT_FOUND"],
    [["web:/a"], "web:/none/x", "NOT_FOUND"],
    [["web:/"], "web:/x", "REFUSED"],
    [["web:/a/etc/hosts"], "web:/a/etc/hosts", "USAGE"],
    [["web:/a/etc/hosts"], "web:/x/", "NOT_FOUND"],
  ] as const)
    await assert.rejects(moveFiles(context, { paths, target }), { code }, `${paths[0]} ${target}`);
  const noClobber = { paths: ["web:/a/etc/hosts"], target: "web:/a/etc/link", noClobber: true };
  await assert.rejects(moveFiles(context, noClobber), { code: "EXISTS" });
  await assert.rejects(moveFiles(context, { paths: ["web:/a/b"], target: "web:/a/etc", noTargetDirectory: true }), {
    code: "EXISTS",
  });

  await linkFiles(context, { targets: ["web:/a/etc/hosts"], path: "web:/two" });
  await linkFiles(context, { targets: ["../a", "b"], path: "web:/empty", symbolic: true });
  await assert.rejects(linkFiles(context, { targets: ["x"], path: "web:/two", symbolic: true }), { code: "EXISTS" });
  await linkFiles(context, { targets: ["x"], path: "web:/empty/b", symbolic: true, force: true });
  await assert.rejects(linkFiles(context, { targets: ["web:/none"], path: "web:/l" }), { code: "NOT_FOUND" });
  await assert.rejects(linkFiles(context, { targets: [""], path: "web:/l", symbolic: true }), { code: "NOT_FOUND" });
  // Where ".." leads is up to the symlink before it.
  await linkFiles(context, { targets: ["/a/b"], path: "web:/far", symbolic: true });
  await moveFiles(context, { paths: ["web:/far/../etc/link"], target: "web:/far/../b/" });
  await moveFiles(context, { paths: ["web:/a/b/link"], target: "web:/a/etc" });
  await unlinkFiles(context, { paths: ["web:/far"] });
  // One of two names of a file goes.
  await moveFiles(context, { paths: ["web:/two"], target: "web:/a/etc/hosts" });
  const found = (await find(context, { start: "web" })).map(({ path }) => path);
  assert.deepEqual(found.join(" "), "/ /a /a/b /a/etc /a/etc/hosts /a/etc/link /bin /empty /empty/a /empty/b");
  const [empty, b] = await stat(context, { paths: ["web:/empty", "web:/empty/b"] });
  assert.deepEqual([empty?.mode, b?.target], ["0700", "x"]);
});

test("unlink: directories ask for it; what is not there may be so", async () => {
  await using at = await openWeb();
  const { context } = at;
  await assert.rejects(unlinkFiles(context, { paths: ["web:/etc"] }), { code: "REFUSED" });
  await assert.rejects(unlinkFiles(context, { paths: ["web:/empty"] }), { code: "REFUSED" });
  await assert.rejects(unlinkFiles(context, { paths: ["web:/"], recursive: true }), { code: "REFUSED" });
  await assert.rejects(unlinkFiles(context, { paths: ["web:/etc/hosts/"] }), { code: "NOT_FOUND" });
  await unlinkFiles(context, { paths: ["web:/etc/link", "web:/none", "web:/none/x"], force: true });
  await unlinkFiles(context, { paths: ["web:/etc", "web:/empty"], recursive: true });
  const found = await find(context, { start: "web" });
  assert.deepEqual(
    found.map(({ path }) => path),
    ["/", "/bin", "/bin/tool"],
  );
});

test("chmod, chown: recursively, with names that are no text, and owners by the container's own names", async () => {
  await using at = await openWeb();
  const { context } = at;
  const tree = await oddTree(`${at.path}/tree`);
  writeFileSync(`${tree}/passwd`, "root:x:0:0:::\nwww:x:33:35:::\n");
  writeFileSync(`${tree}/group`, "adm:x:4:www\n");
  await put(context, { sources: [`${tree}/.`], target: "web:/etc" });
  await chmodFiles(context, { paths: ["web:/etc"], mode: "u=rwX,go=", recursive: true });
  await chownFiles(context, { paths: ["web:/etc/sub"], owner: "www:adm", recursive: true });
  const view = await openView(context, { ref: "web" });
  const odd = view.lstatSync(Buffer.concat([Buffer.from("/etc/sub/"), ODD]));
  assert.deepEqual([odd.mode & 0o7777, odd.uid, odd.gid], [0o600, 33, 4]);
  const link = view.lstatSync("/etc/sub/link");
  assert.deepEqual([link.uid, link.gid], [33, 4]);
  assert.equal(view.statSync("/etc/sub/below").mode & 0o7777, 0o700);
  // Another name of what is below it.
  assert.equal(view.statSync("/etc/file").uid, 33);

  const ownerAfter = async (owner: string): Promise<string> => {
    const { items } = await chownFiles(context, { paths: ["web:/bin/tool"], owner });
    return items.map(({ uid, gid }) => `${uid}:${gid}`).join();
  };
  await ownerAfter("1:1");
  assert.equal(await ownerAfter("www"), "33:1");
  assert.equal(await ownerAfter("www:"), "33:35");
  assert.equal(await ownerAfter(":adm"), "33:4");
  assert.equal(await ownerAfter("+7:0008"), "7:8");
  for (const [owner, code] of [
    ["nobody", "NOT_FOUND"],
    [":wheel", "NOT_FOUND"],
    ["7:", "NOT_FOUND"],
    ["", "USAGE"],
    [":", "USAGE"],
    ["1:2:3", "USAGE"],
    ["4294967295", "USAGE"],
    ["+www", "NOT_FOUND"],
  ] as const)
    await assert.rejects(ownerAfter(owner), { code }, owner);

  await chownFiles(context, { paths: ["web:/etc/sub/link"], owner: "9", noDereference: true });
  await assert.rejects(chownFiles(context, { paths: ["web:/etc/sub/link"], owner: "9" }), { code: "NOT_FOUND" });
  assert.equal((await stat(context, { paths: ["web:/etc/sub/link"] }))[0]?.uid, 9);
  await unlinkFiles(context, { paths: ["web:/etc/sub"], recursive: true });
});

test("xattr: set, listed and read in any ref, removed", async () => {
  await using at = await openWeb();
  const { context } = at;
  const paths = ["web:/etc/hosts"];
  await setXattr(context, { paths, attribute: "user.text", value: "tëxt" });
  await setXattr(context, { paths, attribute: "user.bytes", value: "0x00ff" });
  const { digest } = await show(context, { ref: "web" });
  const names = await listXattrs(context, { paths: [`${digest}:/etc/link`] });
  assert.deepEqual(names[0]?.attributes, ["user.bytes", "user.text"]);
  assert.deepEqual((await listXattrs(context, { paths: ["web:/etc/link"], noDereference: true }))[0]?.attributes, []);
  const [text] = await getXattr(context, { paths, attribute: "user.text" });
  assert.equal(text?.value, "tëxt");
  const [bytes] = await getXattr(context, { paths: [`${digest}:/etc/hosts`], attribute: "user.bytes" });
  assert.deepEqual([bytes?.value, bytes?.valueBase64], ["0sAP8=", "AP8="]);
  await removeXattr(context, { paths, attribute: "user.text" });
  await assert.rejects(removeXattr(context, { paths, attribute: "user.text" }), { code: "NOT_FOUND" });
  await assert.rejects(getXattr(context, { paths, attribute: "user.text" }), { code: "NOT_FOUND" });
  for (const attribute of ["note", "other.x", "user.", `user.${"x".repeat(300)}`])
    await assert.rejects(setXattr(context, { paths, attribute, value: "" }), { code: "USAGE" }, attribute);
  const onLink = { paths: ["web:/etc/link"], attribute: "user.a", value: "", noDereference: true };
  await assert.rejects(setXattr(context, onLink), { code: "USAGE" });
});

test("xattr values: what is written in any form reads as the same bytes", () => {
  const encodings = fc.constantFrom("text", "hex", "base64", undefined);
  const values = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.string().map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(values, encodings, (value, encoding) => {
      assert.deepEqual(Buffer.from(parseXattrValue(xattrValueText(value, encoding))), Buffer.from(value));
    }),
  );
  for (const text of ["0x1", "0xzz", "0sA", "0s!!!!", '"a', '"a"b"', '"\\x"'])
    assert.throws(() => parseXattrValue(text), { code: "USAGE" }, text);
});

test("change: what changed files is exported as it is shown", async () => {
  await using at = await openWeb();
  const tree = await oddTree(`${at.path}/tree`);
  await put(at.context, { sources: [tree], target: "web:/empty" });
  await moveFiles(at.context, { paths: ["web:/empty/tree"], target: "web:/moved" });
  await exportTree(at.context, { ref: "web", target: `${at.path}/out`, asUser: !isRoot() });
  assert.deepEqual(await compareManifests(tree, `${at.path}/out/moved`), []);
});
