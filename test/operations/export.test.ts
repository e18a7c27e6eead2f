import assert from "node:assert/strict";
import { createReadStream, existsSync, statSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { exportTree, importLayer } from "../../src/index.ts";
import type { ExportParams } from "../../src/index.ts";
import { compareManifests } from "../support/compare.ts";
import { run } from "../support/run.ts";
import { assertNothingHalfMade, openTestHost } from "./support.ts";
import type { TestHost } from "./support.ts";

async function hostWithLayer(): Promise<TestHost> {
  const at = await openTestHost();
  await importLayer(at.context, { source: at.source, name: "base" });
  return at;
}

test("export: a directory is as the source was, new, or in the place of an empty one, by symlink too", async () => {
  await using at = await hostWithLayer();
  const out = `${at.path}/out`;
  await mkdir(out);
  for (const name of ["empty", "behind"]) await mkdir(`${out}/${name}`);
  await symlink("behind", `${out}/link`);
  await symlink(out, `${at.path}/out-link`);
  for (const target of [
    `${out}/new`,
    `${out}/empty`,
    `${out}/link`,
    `${at.path}/out-link/other/`,
    `${out}/${"n".repeat(255)}`,
  ]) {
    const exported = await exportTree(at.context, { ref: "base", target, verify: true });
    assert.deepEqual(
      { ...exported, digest: "" },
      {
        ref: "base",
        digest: "",
        target,
        entries: 6,
        bytes: 300_020,
        losses: [],
        omitted: [],
        verified: true,
      },
    );
    assert.deepEqual(await compareManifests(at.source, target), []);
  }
  assert.equal(await readlink(`${out}/link`), "behind");
  assertNothingHalfMade(at, out, at.path);
});

test("export --no-sync: as without it; an image takes it not", async () => {
  await using at = await hostWithLayer();
  const params = (target: string): ExportParams => ({ ref: "base", target: `${at.path}/${target}` });
  await exportTree(at.context, { ...params("out"), noSync: true });
  assert.deepEqual(await compareManifests(at.source, `${at.path}/out`), []);
  for (const [target, noSync] of [
    ["a.tar", true],
    ["b.tar", false],
  ] as const)
    await exportTree(at.context, { ...params(target), noSync });
  assert.deepEqual(await readFile(`${at.path}/a.tar`), await readFile(`${at.path}/b.tar`));
  const image = exportTree(at.context, { ref: "base", target: `oci:${at.path}/image`, noSync: true });
  await assert.rejects(image, { code: "USAGE" });
  assertNothingHalfMade(at, at.path);
});

test("export: what is in the way, or would be, is found before anything is written", async () => {
  await using at = await hostWithLayer();
  const out = `${at.path}/out`;
  await mkdir(`${out}/full/x`, { recursive: true });
  for (const name of ["file", "file.tar"]) await writeFile(`${out}/${name}`, "mine");
  for (const name of ["dangling", "dangling.tar"]) await symlink("nowhere", `${out}/${name}`);
  await symlink("full", `${out}/to-full`);
  const store = at.store.paths.directory;
  const phases: string[] = [];
  const context = { ...at.context, onProgress: ({ phase }: { phase: string }) => void phases.push(phase) };
  for (const [target, code] of [
    [`${out}/full`, "EXISTS"],
    [`${out}/to-full`, "EXISTS"],
    [`${out}/file`, "EXISTS"],
    [`${out}/file.tar`, "EXISTS"],
    [`${out}/dangling`, "EXISTS"],
    [`${out}/dangling.tar`, "EXISTS"],
    [`${out}/nowhere/new`, "NOT_FOUND"],
    [`${out}/file/new`, "NOT_FOUND"],
    [`${out}/nowhere/new.tar`, "NOT_FOUND"],
    [store, "REFUSED"],
    [`${store}/new`, "REFUSED"],
    [`${store}/exports/new.tar`, "REFUSED"],
    [`${out}/new.tar.gz`, "UNSUPPORTED"],
    [`${out}/new.tgz`, "UNSUPPORTED"],
    ["-", "USAGE"],
  ] as const) {
    await assert.rejects(exportTree(context, { ref: "base", target }), { code }, target);
    assert.equal(await readFile(`${out}/file`, "utf8"), "mine");
    assert.deepEqual((await readdir(out)).sort(), ["dangling", "dangling.tar", "file", "file.tar", "full", "to-full"]);
  }
  assert.deepEqual(phases, []);
  assert.ok(!existsSync(`${store}/new`));
  await assert.rejects(exportTree(context, { ref: "nobody", target: `${out}/new` }), { code: "NOT_FOUND" });
  for (const target of ["-", `${out}/new.tar`]) {
    const params: ExportParams = { ref: "base", target, verify: true };
    await assert.rejects(exportTree(context, params), { code: "USAGE" });
  }
});

test("export: a tar has the same bytes each time, to a file or a stream, and GNU tar unpacks the source", async () => {
  await using at = await hostWithLayer();
  const [one, two] = [`${at.path}/one.tar`, `${at.path}/two.tar`];
  for (const target of [one, two]) await exportTree(at.context, { ref: "base", target });
  const pieces: Buffer[] = [];
  const output = (bytes: Uint8Array): Promise<void> => Promise.resolve(void pieces.push(Buffer.from(bytes)));
  await exportTree({ ...at.context, output }, { ref: "base", target: "-" });
  const bytes = await readFile(one);
  assert.ok(bytes.equals(await readFile(two)));
  assert.ok(bytes.equals(Buffer.concat(pieces)));
  assert.equal(statSync(one).mode & 0o111, 0);
  await mkdir(`${at.path}/unpacked`);
  await run("tar", ["-xpf", one, "-C", `${at.path}/unpacked`]);
  assert.deepEqual(await compareManifests(at.source, `${at.path}/unpacked`), []);
  const back = await importLayer({ ...at.context, input: createReadStream(one) }, { source: "-", name: "back" });
  assert.equal(back.digest, (await importLayer(at.context, { source: at.source, name: "again" })).digest);
  assertNothingHalfMade(at, at.path);
});

test("export: a reader of the stream that gives up ends it with its own error", async () => {
  await using at = await hostWithLayer();
  const output = (): Promise<void> => Promise.reject(new Error("enough"));
  await assert.rejects(exportTree({ ...at.context, output }, { ref: "base", target: "-" }), /enough/);
});
