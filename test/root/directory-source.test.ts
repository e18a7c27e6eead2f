import assert from "node:assert/strict";
import { lchownSync, mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { directoryChanges, type DirectoryOptions } from "../../src/sources/directory.ts";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { collected, folded, manifestOf, sizesOnly } from "../sources/fold.ts";
import { compareEntries, readManifest } from "../support/compare.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireCommands, requireLoop, requireRoot, requireRootfs } from "../support/requirements.ts";
import { unpackedRootfs } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { makeEachType } from "../sys/support.ts";

const TYPES = ["file", "directory", "symlink", "fifo", "socket", "character", "block"] as const;
const values = fc.uint8Array({ maxLength: 300 });

test("directory source: metadata of every type of node is what an independent reader says, links included", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using filesystem = await loopFilesystem("ext4", 32);
  const metadata = fc.record({
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.constantFrom(0, 1000, 4_000_000_000),
    sec: fc.integer({ min: -(2 ** 31), max: 2 ** 33 }),
    nsec: fc.integer({ min: 0, max: 999_999_999 }),
    xattrs: fc.dictionary(
      fc.constantFrom("trusted.a", "trusted.overlay.opaque", "security.x", "security.\xff"),
      values,
    ),
    linked: fc.boolean(),
  });
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.tuple(...TYPES.map(() => metadata)), async (each) => {
      const path = `${filesystem.path}/${round++}`;
      mkdirSync(path);
      {
        using directory = DirectoryHandle.open(path);
        makeEachType(directory);
        for (const [i, name] of TYPES.entries()) {
          const { mode, uid, sec, nsec, xattrs, linked } = each[i]!;
          directory.setOwner(name, uid, uid + 1);
          for (const [key, value] of Object.entries(xattrs)) directory.setXattr(name, key, value);
          if (name !== "symlink") directory.setMode(name, mode);
          if (linked && name !== "directory") directory.link(name, directory, `also-${name}`);
          directory.setTimes(name, sec, nsec);
        }
      }
      await assertSame(path);
    }),
    { numRuns: 25 },
  );
});

test("directory source: capabilities and ACLs come byte for byte, those of the root too", async (t) => {
  if (!requireCommands(t, "setcap", "setfacl")) return;
  await using directory = await temporaryDirectory();
  const { path } = directory;
  writeFileSync(`${path}/file`, "x");
  mkdirSync(`${path}/directory`);
  await run("setcap", ["cap_net_raw+ep", `${path}/file`]);
  await run("setfacl", ["-m", "u:12345:rwx", `${path}/file`]);
  await run("setfacl", ["-m", "u:4000000000:rwx,d:g:7:r", path, `${path}/directory`]);
  lchownSync(path, 12, 34);
  await assertSame(path);
});

test("directory source: with one file system, a mount point is an empty directory with the metadata it shows", async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  const { path } = directory;
  mkdirSync(`${path}/mounted`);
  mkdirSync(`${path}/other`);
  await run("mount", ["-t", "tmpfs", "-o", "mode=1751,uid=77", "none", `${path}/mounted`]);
  writeFileSync(`${path}/mounted/inside`, "");
  assert.deepEqual([...(await read(path)).keys()], ["", "mounted", "mounted/inside", "other"]);
  const nodes = await read(path, { oneFileSystem: true });
  assert.deepEqual([...nodes.keys()], ["", "mounted", "other"]);
  assert.deepEqual([nodes.get("mounted")?.mode, nodes.get("mounted")?.uid], [0o1751, 77]);
});

test("directory source: it says of a Debian root filesystem what an independent reader says", async (t) => {
  if (!requireRootfs(t, "bookworm")) return;
  await assertSame(await unpackedRootfs("bookworm"));
});

async function assertSame(path: string): Promise<void> {
  const expected = await readManifest(path, { hash: false });
  assert.deepEqual(compareEntries(expected, manifestOf(await read(path)), { ignore: ["sha256", "blocks"] }), []);
}

async function read(path: string, options?: DirectoryOptions): Promise<ReturnType<typeof folded>> {
  return folded(await collected(directoryChanges(path, sizesOnly(), options)));
}
