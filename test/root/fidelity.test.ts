import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { exportTree, importLayer } from "../../src/index.ts";
import { compareManifests } from "../support/compare.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireCommands, requireLoop, requireRoot, requireRootfs } from "../support/requirements.ts";
import { rootfsTar, unpackedRootfs, type RootfsName } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { openTestStore } from "../support/store.ts";

const NASTY = fileURLToPath(new URL("../support/nasty_tree.py", import.meta.url));
const GNU_TAR = ["--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner"];

test("fidelity: a tree of all that is nasty comes back as it was, from a directory to a directory", async (t) => {
  if (!requireRoot(t)) return;
  await using at = await openTestStore();
  await run("python3", [NASTY, `${at.path}/nasty`, "big"]);
  await importLayer(at.context, { source: `${at.path}/nasty`, name: "nasty" });
  const exported = await exportTree(at.context, { ref: "nasty", target: `${at.path}/out`, verify: true });
  assert.deepEqual(exported.losses, []);
  assert.deepEqual(await compareManifests(`${at.path}/nasty`, `${at.path}/out`), []);
});

test("fidelity: the same on xfs, which holds xattrs of 60 000 bytes", async (t) => {
  if (!requireLoop(t, "xfs")) return;
  await using at = await openTestStore();
  await using xfs = await loopFilesystem("xfs", 400);
  await run("python3", [NASTY, `${xfs.path}/nasty`, "xfs"]);
  await importLayer(at.context, { source: `${xfs.path}/nasty`, name: "nasty" });
  const exported = await exportTree(at.context, { ref: "nasty", target: `${xfs.path}/out` });
  assert.deepEqual(exported.losses, []);
  assert.deepEqual(await compareManifests(`${xfs.path}/nasty`, `${xfs.path}/out`), []);
});

for (const name of ["bookworm", "trixie"] as const) {
  test(`fidelity: ${name} comes back as it was, and is the same tree by every road`, async (t) => {
    if (!requireRootfs(t, name) || !requireCommands(t, "tar", "bsdtar")) return;
    await using at = await openTestStore();
    await roundTrip(at, name, t);
  });
}

async function roundTrip(
  at: Awaited<ReturnType<typeof openTestStore>>,
  name: RootfsName,
  t: TestContext,
): Promise<void> {
  const { context, path } = at;
  const directory = await unpackedRootfs(name);
  const { digest, newBytes } = await importLayer(context, { source: directory, name: "from-directory" });
  t.diagnostic(`${name}: ${digest}, ${newBytes} bytes stored`);

  await exportTree(context, { ref: "from-directory", target: `${path}/out` });
  assert.deepEqual(await compareManifests(directory, `${path}/out`), []);

  const original = await importLayer(context, { source: await rootfsTar(name), name: "from-tar" });
  assert.equal(original.digest, digest);
  assert.equal(original.newChunks, 0);

  await run("tar", ["-cf", `${path}/gnu.tar`, "-C", directory, ...GNU_TAR, "."]);
  await run("bsdtar", [
    "-cf",
    `${path}/bsd.tar`,
    "--format=pax",
    "--xattrs",
    "--acls",
    "--numeric-owner",
    "-C",
    directory,
    ".",
  ]);
  await exportTree(context, { ref: "from-directory", target: `${path}/own.tar` });
  for (const tar of ["gnu", "bsd", "own"]) {
    const imported = await importLayer(context, { source: `${path}/${tar}.tar`, name: tar });
    assert.equal(imported.digest, digest, tar);
    assert.equal(imported.newChunks, 0, tar);
  }

  await run("mkdir", [`${path}/own`]);
  await run("tar", ["-xpf", `${path}/own.tar`, "-C", `${path}/own`, ...GNU_TAR.slice(1)]);
  assert.equal((await importLayer(context, { source: `${path}/own`, name: "own-unpacked" })).digest, digest);

  const first = await exportTree(context, { ref: "own", target: `${path}/twice.tar` });
  await run("cmp", [`${path}/own.tar`, `${path}/twice.tar`]);
  assert.equal(first.digest, digest);
}
