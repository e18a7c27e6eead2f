import assert from "node:assert/strict";
import { link, mkdir, open, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compareManifests, readManifest } from "./compare.ts";
import { run } from "./run.ts";
import { temporaryDirectory } from "./temporary.ts";

const MiB = 1024 * 1024;

test("run: gives the output, and fails with what the program said", async () => {
  assert.equal(await run("sh", ["-c", "echo out"]), "out\n");
  await assert.rejects(run("sh", ["-c", "echo why >&2; exit 3"]), /why/);
  assert.equal(await run("sh", ["-c", "echo out; exit 3"], { allowed: [3] }), "out\n");
});

test("temporary directory: is gone after its scope, however deep its content", async () => {
  let path: string;
  {
    await using directory = await temporaryDirectory();
    path = directory.path;
    await makeDeep(path);
  }
  assert.ok(!existsSync(path));
});

test("manifest: lists a tree deeper than PATH_MAX to its bottom", async () => {
  await using directory = await temporaryDirectory();
  await makeDeep(directory.path);
  const entries = await readManifest(directory.path);
  const deepest = [...entries.keys()].at(-1)!;
  assert.ok(deepest.length > 8000);
  assert.ok(deepest.endsWith("/bottom"));
  assert.equal(entries.get(deepest)?.size, 3);
});

test("manifest: a copy has no differences, and each kind of change is found", async () => {
  await using directory = await temporaryDirectory();
  const [a, b] = [join(directory.path, "a"), join(directory.path, "b")];
  await mkdir(a);
  await writeFile(join(a, "file"), "content");
  await writeFile(join(a, "other"), "content");
  await writeFile(Buffer.concat([Buffer.from(`${a}/`), Buffer.from([0xff, 0x0a])]), "name of bytes");
  await link(join(a, "file"), join(a, "linked"));
  await symlink("nowhere", join(a, "symlink"));
  await run("mkfifo", [join(a, "fifo")]);
  await run("cp", ["-a", a, b]);
  assert.deepEqual(await compareManifests(a, b), []);

  await rm(join(b, "linked"));
  await writeFile(join(b, "linked"), "Content");
  await rm(join(b, "symlink"));
  await symlink("somewhere", join(b, "symlink"));
  await rm(join(b, "fifo"));
  await writeFile(join(b, "other"), "content", { flag: "r+" });
  await utimes(join(b, "other"), 1, 1);
  await writeFile(join(b, "new"), "");
  const found = await compareManifests(a, b, { ignorePath: (path) => path === "" });
  assert.deepEqual(
    found.map(({ path, what }) => `${path}: ${what}`),
    [
      "fifo: missing",
      "linked: mtime_ns",
      "linked: link",
      "linked: sha256",
      "other: mtime_ns",
      "symlink: mtime_ns",
      "symlink: target",
      "new: extra",
    ],
  );
});

test("manifest: the digest depends on bytes, not on where holes are", async () => {
  await using directory = await temporaryDirectory();
  const [a, b] = [join(directory.path, "a"), join(directory.path, "b")];
  for (const [path, dense] of [
    [a, true],
    [b, false],
  ] as const) {
    await mkdir(path);
    const file = await open(join(path, "file"), "w");
    if (dense) await file.write(Buffer.alloc(8 * MiB));
    await file.write(Buffer.from("data"), 0, 4, 5 * MiB - 2);
    await file.truncate(8 * MiB + 1);
    await file.close();
  }
  assert.deepEqual(await compareManifests(a, b, { ignore: ["mtime_ns"] }), []);
  assert.deepEqual(
    (await compareManifests(b, a, { ignore: ["mtime_ns"] })).map(({ what }) => what),
    ["blocks"],
  );
});

test("manifest: reads 5 GiB of holes in no time", { timeout: 5000 }, async () => {
  await using directory = await temporaryDirectory();
  const file = await open(join(directory.path, "sparse"), "w");
  await file.write(Buffer.from("end"), 0, 3, 5 * 1024 * MiB - 3);
  await file.close();
  const entry = (await readManifest(directory.path)).get("sparse");
  assert.equal(entry?.size, 5 * 1024 * MiB);
  assert.match(entry.sha256 ?? "", /^[0-9a-f]{64}$/);
});

/** 40 directories with names of 200 bytes, and a file in the last. */
async function makeDeep(path: string): Promise<void> {
  const script =
    'name=$(printf %0200d 0); for i in $(seq 40); do mkdir "$name"; cd -P "$name"; done; printf abc >bottom';
  await run("bash", ["-c", script], { cwd: path });
}
