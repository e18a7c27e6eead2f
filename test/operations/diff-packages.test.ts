import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { test } from "node:test";
import { diffPackages, importLayer } from "../../src/index.ts";
import type { PackageDiff } from "../../src/index.ts";
import { openTestHost } from "./support.ts";

function write(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(`${root}/${path}`), { recursive: true });
    writeFileSync(`${root}/${path}`, content);
  }
}

function stanza(name: string, version: string, conffiles: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries(conffiles).map(
    ([path, content]) => ` /${path} ${createHash("md5").update(content).digest("hex")}\n`,
  );
  const status = `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nVersion: ${version}\n`;
  return `${status}${lines.length > 0 ? `Conffiles:\n${lines.join("")}` : ""}\n`;
}

function brief({ packages, conffiles, modified, unowned }: PackageDiff): string[] {
  return [
    ...packages.map(({ name, kind, before, after }) => `${name} ${before ?? "-"} ${after ?? "-"} ${kind}`),
    ...conffiles.map(({ path, kind, package: name }) => `conffile ${path} ${kind} ${name}`),
    ...modified.map(({ path, kind, package: name }) => `file ${path} ${kind} ${name}`),
    ...unowned.map(({ path }) => `unowned ${path}`),
  ];
}

test("diff --packages: upgrades, conffiles that are not as they came, files of unchanged packages, and of none", async () => {
  await using at = await openTestHost();
  const { source, context } = at;
  const conffile = { "etc/web/web.conf": "port 80\n", "etc/web/kept.conf": "kept\n", "etc/web/gone.conf": "gone\n" };
  mkdirSync(`${source}/usr/lib`, { recursive: true });
  symlinkSync("usr/lib", `${source}/lib`);
  write(source, {
    ...conffile,
    "usr/lib/web/engine": "engine 1",
    "usr/lib/tool/tool": "tool",
    "usr/lib/tool/lost": "lost",
    "var/lib/dpkg/status": stanza("web", "1.0-1", conffile) + stanza("tool", "3"),
    "var/lib/dpkg/info/web.list": "/lib/web\n/lib/web/engine\n",
    "var/lib/dpkg/info/tool.list": "/lib/tool\n/lib/tool/tool\n/lib/tool/lost\n",
  });
  await importLayer(context, { source, name: "one" });
  write(source, {
    "etc/web/web.conf": "port 8080\n",
    "usr/lib/web/engine": "engine 2",
    "usr/lib/tool/tool": "replaced",
    "srv/mine": "mine",
    "var/lib/dpkg/status": stanza("web", "1.0-2", conffile) + stanza("tool", "3"),
  });
  unlinkSync(`${source}/etc/web/gone.conf`);
  unlinkSync(`${source}/usr/lib/tool/lost`);
  await importLayer(context, { source, name: "two", parent: "one" });
  const found = await diffPackages(context, { a: "two" });
  assert.deepEqual([found.managers, found.differs, found.a.ref], [["dpkg"], true, "parent of two"]);
  assert.deepEqual(brief(found), [
    "web 1.0-1 1.0-2 upgraded",
    "conffile etc/web/gone.conf removed web",
    "conffile etc/web/web.conf modified web",
    "file usr/lib/tool/lost removed tool",
    "file usr/lib/tool/tool changed tool",
    "unowned srv/mine",
  ]);
  const back = await diffPackages(context, { a: "two", b: "one", paths: ["/etc"] });
  assert.deepEqual(brief(back), [
    "web 1.0-2 1.0-1 downgraded",
    "conffile etc/web/gone.conf restored web",
    "conffile etc/web/web.conf restored web",
  ]);
  assert.equal((await diffPackages(context, { a: "two", b: `dir:${source}` })).differs, false);

  rmSync(`${source}/usr/lib/web`, { recursive: true });
  rmSync(`${source}/etc/web`, { recursive: true });
  write(source, { "var/lib/dpkg/status": stanza("tool", "3") });
  assert.deepEqual(brief(await diffPackages(context, { a: "two", b: `dir:${source}` })), ["web 1.0-2 - removed"]);
  assert.equal((await diffPackages(context, { a: "one" })).packages.length, 2, "all that a layer without a parent has");
});

test("diff --packages: without a database all files are nobody's; one that is damaged is said to be so", async () => {
  await using at = await openTestHost();
  await importLayer(at.context, { source: at.source, name: "one" });
  write(at.source, { new: "new" });
  const found = await diffPackages(at.context, { a: "one", b: `dir:${at.source}` });
  assert.deepEqual([found.managers, brief(found)], [[], ["unowned new"]]);
  write(at.source, { "var/lib/rpm/rpmdb.sqlite": "SQLite format 3\0" });
  await assert.rejects(diffPackages(at.context, { a: "one", b: `dir:${at.source}` }), { code: "FORMAT_INVALID" });
});
