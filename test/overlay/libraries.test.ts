import assert from "node:assert/strict";
import { chmodSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import fastGlob from "fast-glob";
import tarFs from "tar-fs";
import { importLayer, openView } from "../../src/index.ts";
import { openTestStore } from "../support/store.ts";

/** Some hundred files, with what globs and packers trip over. */
function makeSite(root: string): void {
  for (let i = 0; i < 200; i++) {
    const directory = `${root}/pages/${i % 7}/${i % 3}`;
    mkdirSync(directory, { recursive: true });
    writeFileSync(`${directory}/page ${i}.html`, `<p>${i}</p>`.repeat(i * 100));
  }
  mkdirSync(`${root}/.hidden/ünïcode`, { recursive: true });
  writeFileSync(`${root}/.hidden/ünïcode/[x]{y}.html`, "");
  symlinkSync("pages/1", `${root}/current`);
  symlinkSync("nowhere", `${root}/dangling`);
  linkSync(`${root}/pages/0/0/page 0.html`, `${root}/same.html`);
  chmodSync(`${root}/same.html`, 0o640);
}

test("fast-glob: finds in a view what it finds in the directory", async () => {
  await using at = await openTestStore();
  const root = `${at.path}/site`;
  makeSite(root);
  await importLayer(at.context, { source: root, name: "site" });
  const view = await openView(at.context, { ref: "site" });
  for (const pattern of [
    "**/*.html",
    "pages/[1-3]/**",
    "**/ün*/*",
    "current/*/*.html",
    "{same,dangling}*",
    "nothing/*",
  ]) {
    for (const options of [{}, { dot: true, followSymbolicLinks: false }, { onlyDirectories: true }, { stats: true }]) {
      const shown = (found: readonly (string | fastGlob.Entry)[]): string[] =>
        found
          .map((each) => (typeof each === "string" ? each : `${each.path} ${each.stats?.size} ${each.stats?.mtimeMs}`))
          .filter((each) => !/ 4096 /.test(each))
          .sort();
      const expected = shown(await fastGlob(pattern, { ...options, cwd: root }));
      const here = { ...options, cwd: "/", fs: view };
      assert.deepEqual(shown(await fastGlob(pattern, here)), expected, pattern);
      assert.deepEqual(shown(fastGlob.sync(pattern, here)), expected, pattern);
    }
  }
  assert.equal((await fastGlob("**/*.html", { cwd: "/", fs: view, followSymbolicLinks: false })).length, 201);
});

test("tar-fs: packs the same bytes from a view as from the directory", async () => {
  await using at = await openTestStore();
  const root = `${at.path}/root`;
  makeSite(`${root}/site`);
  await importLayer(at.context, { source: root, name: "base" });
  const view = await openView(at.context, { ref: "base" });
  // Its types know less than it does.
  const pack = tarFs.pack as unknown as (directory: string, options: object) => Readable;
  const options = { sort: true, umask: 0 };
  const expected = await buffer(pack(`${root}/site`, options));
  const packed = await buffer(pack("/site", { ...options, fs: view }));
  assert.ok(packed.length > 1_000_000);
  assert.ok(packed.equals(expected));
});
