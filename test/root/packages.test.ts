import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { diffPackages, importLayer } from "../../src/index.ts";
import type { PackageDiff } from "../../src/index.ts";
import { requireCommands, requireRoot, requireRootfs } from "../support/requirements.ts";
import { rootfsTar, unpackedRootfs } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { openTestStore } from "../support/store.ts";

/** name -> version, of all that are installed, as dpkg-query has it. */
async function queried(root: string): Promise<ReadonlyMap<string, string>> {
  const format = "${db:Status-Status} ${binary:Package} ${Version}\n";
  const stdout = await run("dpkg-query", [`--admindir=${root}/var/lib/dpkg`, "-W", "-f", format]);
  const rows = stdout.trimEnd().split("\n");
  return new Map(
    rows.flatMap((row) => {
      const [state, name = "", version = ""] = row.split(" ");
      return state === "installed" ? [[name, version]] : [];
    }),
  );
}

function byQueries(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  const rows = names.map((name) => [name, before.get(name) ?? "-", after.get(name) ?? "-"] as const);
  return rows.filter(([, was, is]) => was !== is).map((row) => row.join(" "));
}

function brief({ packages }: PackageDiff): string[] {
  return packages.map(({ name, before, after }) => `${name} ${before ?? "-"} ${after ?? "-"}`);
}

test("diff --packages: of two Debian systems, one with nginx and more, it is what dpkg-query says in both", async (t) => {
  if (!requireRootfs(t, "bookworm") || !requireRootfs(t, "bookworm-large") || !requireCommands(t, "dpkg-query")) return;
  await using at = await openTestStore();
  for (const name of ["bookworm", "bookworm-large"] as const)
    await importLayer(at.context, { source: await rootfsTar(name), name });
  const [small, large] = [await unpackedRootfs("bookworm"), await unpackedRootfs("bookworm-large")];
  const [before, after] = [await queried(small), await queried(large)];
  const found = await diffPackages(at.context, { a: "bookworm", b: "bookworm-large" });
  assert.deepEqual(brief(found), byQueries(before, after));
  assert.ok(found.packages.some(({ name, kind }) => name === "nginx" && kind === "added"));
  assert.deepEqual([found.conffiles, found.modified], [[], []], "all is as its packages brought it");
  const owned = found.unowned.filter(({ path }) => /^usr\/(s?bin|lib\/x86_64)/.test(path));
  assert.deepEqual(owned, [], "programs and libraries belong to packages");
  const back = await diffPackages(at.context, { a: "bookworm-large", b: "bookworm" });
  assert.deepEqual(brief(back), byQueries(after, before));
});

test("diff --packages: a chain of real installs, upgrades, edits and removals with dpkg", async (t) => {
  if (!requireCommands(t, "dpkg", "dpkg-deb", "dpkg-query")) return;
  await using at = await openTestStore();
  const root = `${at.path}/root`;
  for (const directory of ["updates", "info", "triggers"])
    mkdirSync(`${root}/var/lib/dpkg/${directory}`, { recursive: true });
  writeFileSync(`${root}/var/lib/dpkg/status`, "");
  const dpkg = (...args: string[]): Promise<unknown> =>
    run("dpkg", [`--root=${root}`, "--force-not-root", "--force-script-chrootless", "--force-confold", ...args]);
  const deb = async (version: string, files: Readonly<Record<string, string>>): Promise<string> => {
    const tree = `${at.path}/deb-${version}`;
    for (const directory of ["DEBIAN", "etc/web", "usr/bin"]) mkdirSync(`${tree}/${directory}`, { recursive: true });
    for (const [path, content] of Object.entries(files)) writeFileSync(`${tree}/${path}`, content);
    writeFileSync(`${tree}/DEBIAN/conffiles`, "/etc/web/web.conf\n");
    writeFileSync(
      `${tree}/DEBIAN/control`,
      `Package: web\nVersion: ${version}\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: test\n`,
    );
    await run("dpkg-deb", ["--root-owner-group", "-b", tree, `${tree}.deb`]);
    return `${tree}.deb`;
  };
  const states: ReadonlyMap<string, string>[] = [];
  const keep = async (): Promise<void> => {
    const number = states.push(await queried(root)) - 1;
    const parent = number === 0 ? {} : { parent: `s${number - 1}` };
    await importLayer(at.context, { source: root, name: `s${number}`, ...parent });
  };
  await keep();
  await dpkg("-i", await deb("1.0-1", { "etc/web/web.conf": "port 80\n", "usr/bin/web": "one" }));
  await keep();
  writeFileSync(`${root}/etc/web/web.conf`, "port 8080\n");
  await keep();
  await dpkg("-i", await deb("1.0-1+deb1", { "etc/web/web.conf": "port 80\ntls\n", "usr/bin/web": "two" }));
  await keep();
  writeFileSync(`${root}/usr/bin/web`, "tampered");
  await keep();
  await dpkg("-r", "web");
  await keep();
  await dpkg("-P", "web");
  await keep();

  const found: string[][] = [];
  for (let number = 1; number < states.length; number++) {
    const layer = `s${number}`;
    const result = await diffPackages(at.context, { a: layer });
    assert.deepEqual(
      brief(result),
      byQueries(states[number - 1] ?? new Map(), states[number] ?? new Map()),
      `${layer}: as dpkg-query has it`,
    );
    assert.deepEqual(await diffPackages(at.context, { a: `s${number - 1}`, b: layer }).then(brief), brief(result));
    found.push([
      ...result.packages.map(({ kind, configurationLeft }) => `${kind}${configurationLeft ? ", left" : ""}`),
      ...result.conffiles.map(({ path, kind }) => `${path} ${kind}`),
      ...result.modified.map(({ path, kind }) => `${path} ${kind}`),
      ...result.unowned.map(({ path }) => `unowned ${path}`),
    ]);
  }
  assert.deepEqual(found, [
    ["added"],
    ["etc/web/web.conf modified"],
    ["upgraded", "unowned etc/web/web.conf.dpkg-dist"],
    ["usr/bin/web changed"],
    ["removed, left"],
    ["unowned etc/web/web.conf.dpkg-dist"],
  ]);
});

test("diff --packages: a chain of real installs, upgrades, edits and removals with rpm, as rpm -qa and rpm -V have it", async (t) => {
  if (!requireRoot(t) || !requireCommands(t, "rpm", "rpmbuild")) return;
  await using at = await openTestStore();
  const root = `${at.path}/root`;
  mkdirSync(`${root}/var/lib/rpm`, { recursive: true });
  const rpm = (...args: string[]): Promise<string> =>
    run("rpm", ["--root", root, "--define", "_dbpath /var/lib/rpm", "--define", "_db_backend sqlite", ...args]);
  const packaged = async (version: string, conf: string, tool: string): Promise<string> => {
    const [name = "", number = "", release = ""] = version.split("-");
    const spec = `Name: ${name}
Version: ${number}
Release: ${release}
Summary: test
License: none
BuildArch: noarch
%description
test
%install
mkdir -p %{buildroot}/etc/${name} %{buildroot}/usr/bin
echo ${conf} >%{buildroot}/etc/${name}/${name}.conf
echo ${tool} >%{buildroot}/usr/bin/${name}
%files
%config(noreplace) /etc/${name}/${name}.conf
/usr/bin/${name}
`;
    writeFileSync(`${at.path}/${version}.spec`, spec);
    await run("rpmbuild", ["-bb", "--define", `_topdir ${at.path}/build`, `${at.path}/${version}.spec`]);
    return `${at.path}/build/RPMS/noarch/${version}.noarch.rpm`;
  };
  const states: ReadonlyMap<string, string>[] = [];
  const keep = async (): Promise<void> => {
    const rows = (await rpm("-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\n")).split("\n").filter((row) => row !== "");
    const number = states.push(new Map(rows.map((row) => row.split(" ") as [string, string]))) - 1;
    const parent = number === 0 ? {} : { parent: `s${number - 1}` };
    await importLayer(at.context, { source: root, name: `s${number}`, ...parent });
  };
  await rpm("--initdb");
  await keep();
  await rpm("-i", await packaged("web-1.9-1", "80", "one"), await packaged("tool-1-1", "x", "x"));
  await keep();
  writeFileSync(`${root}/etc/web/web.conf`, "8080\n");
  await keep();
  await rpm("-U", await packaged("web-1.10~rc1-1", "80 tls", "two"));
  await keep();
  writeFileSync(`${root}/usr/bin/web`, "tampered");
  rmSync(`${root}/usr/bin/tool`);
  await keep();
  // It fails if anything differs.
  const verified = await run("sh", ["-c", `rpm --root "$0" --define '_dbpath /var/lib/rpm' -Va || true`, root]);
  await rpm("-e", "web");
  await keep();

  const found: string[][] = [];
  for (let number = 1; number < states.length; number++) {
    const result = await diffPackages(at.context, { a: `s${number}` });
    const [before = new Map(), after = new Map()] = states.slice(number - 1);
    assert.deepEqual(brief(result), byQueries(before, after), `s${number}: as rpm -qa has it`);
    assert.deepEqual(result.managers, ["rpm"]);
    found.push([
      ...result.packages.map(({ name, kind }) => `${name} ${kind}`),
      ...result.conffiles.map(({ path, kind }) => `${path} ${kind}`),
      ...result.modified.map(({ path, kind }) => `${path} ${kind}`),
      ...result.unowned.map(({ path }) => `unowned ${path}`),
    ]);
  }
  assert.deepEqual(found, [
    ["tool added", "web added"],
    ["etc/web/web.conf modified"],
    ["web upgraded", "unowned etc/web/web.conf.rpmnew"],
    ["usr/bin/tool removed", "usr/bin/web changed"],
    ["web removed", "unowned etc/web/web.conf.rpmsave"],
  ]);
  const differing = verified
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^.* \//, ""));
  assert.deepEqual(differing.sort(), ["etc/web/web.conf", "usr/bin/tool", "usr/bin/web"]);
});
