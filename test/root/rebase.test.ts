import assert from "node:assert/strict";
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { capture, clone, commit, create, importLayer, openView, rebase, show, status } from "../../src/index.ts";
import { requireCommands, requireRoot, requireRootfs } from "../support/requirements.ts";
import { rootfsTar, unpackedRootfs } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { openTestStore } from "../support/store.ts";

/** Has `work` change the root filesystem as a container of it would: into `upper`. */
async function inside(lower: string, upper: string, work: (root: string) => Promise<unknown>): Promise<void> {
  const root = `${upper}.mounted`;
  for (const directory of [upper, `${upper}.work`, root]) mkdirSync(directory, { recursive: true });
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${upper}.work`;
  await run("mount", ["-t", "overlay", "overlay", "-o", options, root]);
  try {
    await work(root);
  } finally {
    await run("umount", [root]);
  }
}

/** Builds a package that is installed in `root` again, as another version. */
async function repack(root: string, name: string, version: string, edit: (tree: string) => void): Promise<string> {
  const tree = `${root}/tmp/repacked`;
  mkdirSync(`${tree}/DEBIAN`, { recursive: true });
  const info = `${root}/var/lib/dpkg/info/${name}`;
  const files = readFileSync(`${info}.list`, "utf8").trimEnd().split("\n");
  const script = 'cd "$1" && shift && xargs -d "\\n" cp -a --parents --no-dereference -t "$1"';
  const paths = files.filter((path) => path !== "/.").map((path) => path.slice(1));
  writeFileSync(`${root}/tmp/paths`, paths.filter((path) => !isDirectory(`${root}/${path}`)).join("\n"));
  await run("sh", ["-c", `${script} <"$2"`, "sh", root, tree, `${root}/tmp/paths`]);
  for (const part of ["conffiles", "postinst", "prerm"])
    if (existsSync(`${info}.${part}`)) await run("cp", ["-a", `${info}.${part}`, `${tree}/DEBIAN/${part}`]);
  const status = await run("dpkg-query", [`--admindir=${root}/var/lib/dpkg`, "-s", name]);
  const fields = status.replace(/^Status: .*\n/m, "").replace(/^Conffiles:\n(?: .*\n)*/m, "");
  writeFileSync(`${tree}/DEBIAN/control`, fields.replace(/^Version: .*$/m, `Version: ${version}`));
  edit(tree);
  await run("dpkg-deb", ["--root-owner-group", "-b", tree, `${root}/tmp/repacked.deb`]);
  rmSync(tree, { recursive: true });
  rmSync(`${root}/tmp/paths`);
  return "/tmp/repacked.deb";
}

function isDirectory(path: string): boolean {
  return existsSync(`${path}/.`);
}

/** With dpkg of the root filesystem itself. */
async function install(root: string, deb: string): Promise<void> {
  await run("chroot", [root, "dpkg", "-i", deb]);
  rmSync(`${root}${deb}`);
}

async function ownPackage(root: string): Promise<string> {
  const tree = `${root}/tmp/own`;
  mkdirSync(`${tree}/DEBIAN`, { recursive: true });
  mkdirSync(`${tree}/opt/own`, { recursive: true });
  writeFileSync(`${tree}/opt/own/tool`, "#!/bin/sh\necho own\n", { mode: 0o755 });
  const control = "Package: own\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: test\n";
  writeFileSync(`${tree}/DEBIAN/control`, control);
  await run("dpkg-deb", ["--root-owner-group", "-b", tree, `${root}/tmp/own.deb`]);
  rmSync(tree, { recursive: true });
  return "/tmp/own.deb";
}

test("rebase: of a Debian container with a package and edits of its own, onto the base as dpkg has upgraded it since", async (t) => {
  if (!requireRoot(t) || !requireRootfs(t, "bookworm") || !requireCommands(t, "dpkg-deb", "dpkg-query", "chroot"))
    return;
  await using at = await openTestStore();
  const { context } = at;
  await importLayer(context, { source: await rootfsTar("bookworm"), name: "base" });
  const rootfs = await unpackedRootfs("bookworm");

  await create(context, { source: "base", name: "builder", noLxc: true });
  await inside(rootfs, `${at.path}/builder`, async (root) => {
    const deb = await repack(root, "sensible-utils", "99.0", (tree) => {
      appendFileSync(`${tree}/usr/bin/sensible-pager`, "# upgraded\n");
      appendFileSync(`${tree}/usr/bin/sensible-editor`, "# upgraded\n");
      writeFileSync(`${tree}/usr/bin/sensible-new`, "#!/bin/sh\n", { mode: 0o755 });
      rmSync(`${tree}/usr/bin/sensible-browser`);
    });
    await install(root, deb);
  });
  await capture(context, { name: "builder", from: `${at.path}/builder` });
  const newer = await commit(context, { name: "builder", layer: "newer" });

  await create(context, { source: "base", name: "web", noLxc: true });
  await inside(rootfs, `${at.path}/web`, async (root) => {
    await install(root, await ownPackage(root));
    chmodSync(`${root}/usr/bin/sensible-pager`, 0o700);
    appendFileSync(`${root}/usr/bin/sensible-editor`, "# ours\n");
    writeFileSync(`${root}/etc/motd`, "web\n");
    mkdirSync(`${root}/srv/www`);
    writeFileSync(`${root}/srv/www/index.html`, "<p>web</p>\n");
    rmSync(`${root}/usr/share/doc/hostname`, { recursive: true });
  });
  await capture(context, { name: "web", from: `${at.path}/web` });

  const before = await show(context, { ref: "web" });
  const refused = await rebase(context, { name: "web", onto: "newer" });
  assert.deepEqual(
    refused.conflicts.map(({ path, differs, machineWritten }) => [path, differs, machineWritten]),
    [
      ["usr/bin/sensible-editor", ["content"], false],
      ["var/lib/dpkg/status", ["content"], true],
      ["var/log/dpkg.log", ["content"], true],
    ],
  );
  assert.equal(refused.rebased, false);
  assert.deepEqual(await show(context, { ref: "web" }), before);

  await clone(context, { ref: "web", names: ["other"], noLxc: true });
  const began = performance.now();
  await rebase(context, { name: "web", onto: "newer", prefer: "ours" });
  t.diagnostic(`rebased in ${(performance.now() - began).toFixed(1)} ms`);
  await rebase(context, { name: "other", onto: "newer", prefer: "theirs" });

  const own = [
    "added opt/own",
    "added opt/own/tool",
    "added srv/www",
    "added srv/www/index.html",
    "added var/lib/dpkg/info/own.list",
    "added var/lib/dpkg/info/own.md5sums",
    "changed etc/motd",
    "metadata usr/bin/sensible-pager",
    "removed usr/share/doc/hostname",
  ];
  const settled = ["changed usr/bin/sensible-editor", "changed var/lib/dpkg/status", "changed var/log/dpkg.log"];
  for (const [name, expected] of [
    ["web", [...own, ...settled]],
    ["other", own],
  ] as const) {
    const { changes, lower } = await status(context, { name, ignore: ["mtime"], renames: false });
    assert.equal(lower, newer.digest);
    const found = changes.map(({ kind, path }) => `${kind} ${path}`);
    assert.deepEqual(found.sort(), [...expected].sort(), name);
    const fs = (await openView(context, { ref: name })).promises;
    const text = (path: string): Promise<string> => fs.readFile(path, "utf8");
    assert.match(await text("/usr/bin/sensible-pager"), /# upgraded\n$/);
    assert.equal((await fs.stat("/usr/bin/sensible-pager")).mode & 0o777, 0o700);
    assert.match(await text("/usr/bin/sensible-editor"), name === "web" ? /# ours\n$/ : /# upgraded\n$/);
    assert.equal(await text("/usr/bin/sensible-new"), "#!/bin/sh\n");
    await assert.rejects(fs.stat("/usr/bin/sensible-browser"), { code: "ENOENT" });
    assert.match(await text("/var/lib/dpkg/status"), name === "web" ? /^Package: own$/m : /^Version: 99\.0$/m);
  }
});
