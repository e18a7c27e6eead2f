import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import {
  capture,
  clone,
  commit,
  create,
  exportTree,
  importLayer,
  info,
  list,
  listExports,
  remove,
  rename,
  show,
  status,
  Store,
  tag,
  unexport,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { compareManifests } from "../support/compare.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireCommands, requireLoop, requireRoot } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { openTestHost, startContainer } from "../operations/support.ts";

/** Mounts a container's rootfs as LXC would, with the options that its config has, and gives where. */
async function mounted(
  context: Context,
  name: string,
  path: string,
): Promise<{ view: string; unmount: () => Promise<string> }> {
  const { container } = await show(context, { ref: name });
  const directory = container?.lxcDirectory ?? assert.fail();
  await startContainer(context, name);
  const view = `${path}/view-${name}`;
  mkdirSync(view, { recursive: true });
  mkdirSync(`${directory}/work`, { recursive: true });
  const config = readFileSync(`${directory}/config`, "utf8");
  const [, lowers = ""] = /^lxc\.rootfs\.path = overlay:(.*):\/.*$/m.exec(config) ?? assert.fail();
  const options = `lowerdir=${lowers},upperdir=${directory}/delta0,workdir=${directory}/work`;
  await run("mount", ["-t", "overlay", "overlay", "-o", options, view]);
  return { view, unmount: () => run("umount", [view]) };
}

const CHANGES = `
  echo changed >>etc/hosts; rm etc/link; rm -rf bin; mkdir bin; echo other >bin/tool; ln bin/tool bin/same
  mv empty full; mkfifo full/fifo; mknod full/device c 1 3; setfattr -n user.x -v y etc; chmod 4755 bin/tool
  truncate -s 5M full/sparse; chown 1000:1000 full; touch -d '1960-01-01 00:00:00.123456789' full/fifo`;

test("operations: what each of them makes of a container that runs, and of the same when it has stopped", async (t) => {
  if (!requireCommands(t, "setfattr")) return;
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await create(context, { source: at.source, name: "web", lxcPath });
  const { view, unmount } = await mounted(context, "web", at.path);
  await run("sh", ["-ec", CHANGES], { cwd: view });
  const before = await show(context, { ref: "web" });
  assert.equal(before.container?.state, "running");
  for (const [what, attempt] of Object.entries({
    capture: () => capture(context, { name: "web" }),
    clone: () => clone(context, { ref: "web", names: ["copy"], lxcPath }),
    create: () => create(context, { source: "web", name: "copy", lxcPath }),
    commit: () => commit(context, { name: "web", layer: "layer" }),
    rename: () => rename(context, { from: "web", to: "other" }),
    remove: () => remove(context, { names: ["web"] }),
    "capture --from": () => capture(context, { name: "web", from: `${lxcPath}/web/delta0` }),
    unexport: () => unexport(context, { refs: ["web"] }),
  }))
    await assert.rejects(attempt(), { code: "REFUSED" }, what);
  const told = await status(context, { name: "web" });
  assert.deepEqual(told, {
    name: "web",
    state: "running",
    captured: null,
    lower: before.digest,
    digest: before.digest,
    changes: [],
    totals: told.totals,
  });
  assert.ok(Object.values(told.totals).every((total) => total === 0));
  assert.equal((await list(context, { only: "running" })).length, 1);
  assert.deepEqual(at.warnings, []);
  await tag(context, { ref: "web", name: "as-it-was" });
  assert.equal(at.warnings.length, 1, "what runs stands for its last capture, and that is said");
  assert.deepEqual(
    (await listExports(context)).map(({ mounted, users, changed }) => ({ mounted, users, changed })),
    [{ mounted: true, users: ["web"], changed: [] }],
  );

  const shown = `${at.path}/shown`;
  await run("cp", ["-a", "--sparse=always", view, shown]);
  await unmount();
  const { digest } = await commit(context, { name: "web", layer: "layer" });
  await exportTree(context, { ref: "layer", target: `${at.path}/out`, verify: true });
  assert.deepEqual(await compareManifests(shown, `${at.path}/out`), []);
  await clone(context, { ref: "layer", names: ["copy"], lxcPath });
  const copy = await mounted(context, "copy", at.path);
  assert.deepEqual(await compareManifests(shown, copy.view), []);
  await copy.unmount();
  assert.equal((await show(context, { ref: "copy" })).digest, digest);
});

test("operations: an upper made from the record shows what the container held, whiteouts and all", async (t) => {
  if (!requireCommands(t, "setfattr")) return;
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await create(context, { source: at.source, name: "web", lxcPath });
  const web = await mounted(context, "web", at.path);
  await run("sh", ["-ec", CHANGES], { cwd: web.view });
  await web.unmount();
  const { digest } = await clone(context, { ref: "web", names: ["copy"], lxcPath });
  const [copy, again] = [await mounted(context, "copy", at.path), await mounted(context, "web", at.path)];
  assert.deepEqual(await compareManifests(again.view, copy.view), []);
  for (const { unmount } of [copy, again]) await unmount();
  for (const ref of ["copy", "web"]) assert.equal((await show(context, { ref })).digest, digest, ref);
});

test("capture --from: a mounted delta is refused, an unmounted one of another's taken", async (t) => {
  if (!requireRoot(t)) return;
  await using at = await openTestHost();
  const { context } = at;
  await create(context, { source: at.source, name: "web", noLxc: true });
  const [upper, view] = [`${at.path}/upper`, `${at.path}/view`];
  for (const directory of [upper, view, `${at.path}/work`]) await mkdir(directory);
  const options = `lowerdir=${at.source},upperdir=${upper},workdir=${at.path}/work`;
  await run("mount", ["-t", "overlay", "overlay", "-o", options, view]);
  await run("sh", ["-ec", "rm -r bin; echo new >etc/new"], { cwd: view });
  await assert.rejects(capture(context, { name: "web", from: upper }), { code: "REFUSED" });
  await run("umount", [view]);
  await capture(context, { name: "web", from: upper });
  const { changes } = await status(context, { name: "web" });
  assert.deepEqual(
    changes.map(({ path, kind }) => `${kind} ${path}`),
    ["metadata ", "removed bin", "metadata etc", "added etc/new"],
  );
});

test("shared export: marks of overlayfs that a tree holds as data show as data; what cannot is reported", async (t) => {
  if (!requireCommands(t, "setfattr")) return;
  await using at = await openTestHost();
  const { context, source, lxcPath } = at;
  const script = `
    setfattr -n trusted.overlay.opaque -v y etc; setfattr -n trusted.overlay.metacopy bin/tool
    setfattr -n trusted.overlay.redirect -v /etc bin; setfattr -n trusted.overlay.overlay.opaque -v y empty
    setfattr -n trusted.other -v 1 etc/hosts`;
  await run("sh", ["-ec", script], { cwd: source });
  await create(context, { source, name: "web", lxcPath });
  const { view, unmount } = await mounted(context, "web", at.path);
  assert.deepEqual(await compareManifests(source, view), []);
  await unmount();
  assert.deepEqual((await status(context, { name: "web" })).changes, []);
  assert.deepEqual(at.warnings, []);

  await run("mknod", [`${source}/etc/hides`, "c", "0", "0"]);
  await create(context, { source, name: "lossy", lxcPath });
  const lossy = await mounted(context, "lossy", at.path);
  assert.equal(at.warnings.length, 1);
  assert.ok(!readdirSync(`${lossy.view}/etc`).includes("hides"));
  await lossy.unmount();
  await exportTree(context, { ref: "lossy", target: `${at.path}/out`, verify: true });
});

test("export: a mount point is refused before anything is written, its inside is fine", async (t) => {
  if (!requireRoot(t)) return;
  await using at = await openTestHost();
  await importLayer(at.context, { source: at.source, name: "base" });
  const target = `${at.path}/mounted`;
  await mkdir(target);
  await run("mount", ["-t", "tmpfs", "tmpfs", target]);
  await assert.rejects(exportTree(at.context, { ref: "base", target }), { code: "REFUSED" });
  await exportTree(at.context, { ref: "base", target: `${target}/rootfs`, verify: true });
});

test("import: what is mounted below is left out on demand, its directory stays", async (t) => {
  if (!requireRoot(t)) return;
  await using at = await openTestHost();
  await run("mount", ["-t", "tmpfs", "tmpfs", `${at.source}/empty`]);
  await writeFile(`${at.source}/empty/file`, "");
  const [all, one] = [
    await importLayer(at.context, { source: at.source, name: "all" }),
    await importLayer(at.context, { source: at.source, name: "one", oneFileSystem: true }),
  ];
  assert.deepEqual([all.entries, one.entries], [7, 6]);
});

test("open: on a read-only filesystem a store is there to be read, and none can be made", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 32);
  const directory = `${small.path}/store`;
  await (await Store.open(directory, { create: true }))[Symbol.asyncDispose]();
  await run("mount", ["-o", "remount,ro", small.path]);
  await assert.rejects(Store.open(`${small.path}/new`, { create: true }), { code: "NOT_PERMITTED" });
  {
    await using store = await Store.open(directory, { create: true });
    const context = { store, command: "test" };
    assert.equal((await info(context)).layers, 0);
    await assert.rejects(importLayer(context, { source: "/etc/apt", name: "apt" }), { code: "NOT_PERMITTED" });
  }
  await run("mount", ["-o", "remount,rw", small.path]);
  await (await Store.open(directory))[Symbol.asyncDispose]();
});

test("operations: an upper whose mount kept hard links in its index is refused, and left as it is", async (t) => {
  if (!requireRoot(t)) return;
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await run("ln", [`${at.source}/etc/hosts`, `${at.source}/etc/hosts-too`]);
  await create(context, { source: at.source, name: "web", lxcPath, settings: ["lxc.rootfs.options=index=on"] });
  await startContainer(context, "web");
  const directory = `${lxcPath}/web`;
  const { container } = await show(context, { ref: "web" });
  const lower = context.store.exports.path(container?.lower ?? assert.fail());
  await mkdir(`${directory}/work`);
  await mkdir(`${at.path}/view`);
  const options = `lowerdir=${lower},upperdir=${directory}/delta0,workdir=${directory}/work,index=on`;
  await run("mount", ["-t", "overlay", "overlay", "-o", options, `${at.path}/view`]);
  await run("sh", ["-c", `echo more >>${at.path}/view/etc/hosts && rm ${at.path}/view/etc/hosts`]);
  await run("umount", [`${at.path}/view`]);
  await assert.rejects(capture(context, { name: "web" }), { code: "UNSUPPORTED" });
  await assert.rejects(capture(context, { name: "web", from: `${directory}/delta0` }), { code: "UNSUPPORTED" });
  assert.ok(existsSync(`${directory}/work/index`));
  assert.ok(!existsSync(`${directory}/capturing`));
});
