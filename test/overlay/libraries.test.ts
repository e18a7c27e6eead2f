import assert from "node:assert/strict";
import fs, { chmodSync, linkSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import fastGlob from "fast-glob";
import git from "isomorphic-git";
import tarFs from "tar-fs";
import { create, exportTree, importLayer, openContainer, openView } from "../../src/index.ts";
import { compareManifests } from "../support/compare.ts";
import { isRoot } from "../support/run.ts";
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

test("isomorphic-git: a repository in a container gets the same commits as one in a directory, and checks out the same", async () => {
  await using at = await openTestStore();
  mkdirSync(`${at.path}/base`);
  await importLayer(at.context, { source: `${at.path}/base`, name: "base" });
  await create(at.context, { source: "base", name: "web", noLxc: true });
  await using view = await openContainer(at.context, { name: "web" });
  const seen = [];
  for (const [on, root] of [[fs, at.path] as const, [view as unknown as typeof fs, ""] as const]) {
    const { promises } = on;
    const repository = { fs: { promises }, dir: `${root}/repository`, cache: {} };
    const { dir } = repository;
    const author = { name: "A", email: "a@example.org", timestamp: 1_700_000_000, timezoneOffset: 0 };
    await git.init({ ...repository, defaultBranch: "main" });
    const paths: string[] = [];
    for (let i = 0; i < 1000; i++) {
      const directory = `part ${i % 13}/${i % 5}`;
      if (i < 65) await promises.mkdir(`${dir}/${directory}`, { recursive: true });
      await promises.writeFile(`${dir}/${directory}/file ${i}`, `content ${i}\n`.repeat((i % 50) + 1));
      paths.push(`${directory}/file ${i}`);
    }
    await promises.chmod(`${dir}/${paths[0]}`, 0o755);
    await promises.symlink("part 1", `${dir}/link`);
    await git.add({ ...repository, filepath: [...paths, "link"] });
    const first = await git.commit({ ...repository, message: "first", author });

    await git.branch({ ...repository, ref: "other", checkout: true });
    for (const path of paths.slice(0, 100)) {
      await promises.unlink(`${dir}/${path}`);
      await git.remove({ ...repository, filepath: path });
    }
    await promises.appendFile(`${dir}/${paths[400]}`, "more\n");
    await promises.writeFile(`${dir}/new`, "new");
    await git.add({ ...repository, filepath: [paths[400]!, "new"] });
    const second = await git.commit({ ...repository, message: "second", author });

    await git.checkout({ ...repository, ref: "main" });
    const back = (await git.statusMatrix(repository)).filter(([, ...states]) => states.join() !== "1,1,1");
    const kept = await promises.readFile(`${dir}/${paths[5]}`, "utf8");
    await git.checkout({ ...repository, ref: "other" });
    const log = await git.log(repository);
    const files = await git.listFiles(repository);
    seen.push({
      first,
      second,
      back,
      kept,
      files,
      log: log.map(({ oid, commit }) => [oid, commit.tree, commit.parent]),
    });
  }
  assert.equal(seen[0]!.files.length, 1000 - 100 + 2);
  assert.deepEqual(seen[1], seen[0]);
  await view[Symbol.asyncDispose]();
  await exportTree(at.context, { ref: "web", target: `${at.path}/out`, asUser: !isRoot() });
  const differences = await compareManifests(`${at.path}/repository`, `${at.path}/out/repository`, {
    ignore: ["mtime_ns"],
    // It holds what stat says: inode numbers and times.
    ignorePath: (path) => path === ".git/index",
  });
  assert.deepEqual(differences, []);
});

test("tar-fs: extracts into a container what it extracts into a directory", async () => {
  await using at = await openTestStore();
  const root = `${at.path}/root`;
  makeSite(`${root}/site`);
  mkdirSync(`${at.path}/base`);
  await importLayer(at.context, { source: `${at.path}/base`, name: "base" });
  await create(at.context, { source: "base", name: "web", noLxc: true });
  const extract = tarFs.extract as unknown as (directory: string, options?: object) => Writable;
  const pack = (): Readable => tarFs.pack(`${root}/site`) as unknown as Readable;
  await pipeline(pack(), extract(`${at.path}/there/site`));
  {
    await using view = await openContainer(at.context, { name: "web" });
    await pipeline(pack(), extract("/site", { fs: view }));
  }
  await exportTree(at.context, { ref: "web", target: `${at.path}/out`, asUser: !isRoot() });
  const differences = await compareManifests(`${at.path}/there/site`, `${at.path}/out/site`);
  // Of directories and symlinks it leaves what the last entry in them made of them.
  const isFile = (path: string): boolean => lstatSync(Buffer.from(`${root}/site/${path}`, "latin1")).isFile();
  assert.deepEqual(
    differences.filter(({ path, what }) => what !== "mtime_ns" || isFile(path)),
    [],
  );
});
