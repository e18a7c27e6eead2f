import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { adopt as takeIn, exportTree, list, Store } from "../../src/index.ts";
import { documentOf, failureOf } from "../support/cli.ts";
import { compareManifests, readManifest } from "../support/compare.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, type LxcHost, lxcHost, SLEEP } from "./support.ts";

const SETTINGS = `lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
lxc.init.cmd = /bin/sleep 1000
lxc.signal.halt = SIGKILL
`;

/** What `lxc-create -t` runs. */
async function template(at: LxcHost): Promise<string> {
  const rootfs = await busyboxRootfs(`${at.path}/template rootfs`);
  for (const name of ["srv/deep/below", "etc/conf.d"]) mkdirSync(`${rootfs}/${name}`, { recursive: true });
  for (const name of ["etc/a", "etc/b", "etc/conf.d/c", "srv/deep/below/d", "srv/e"])
    writeFileSync(`${rootfs}/${name}`, name);
  const script = `${at.path}/template`;
  writeFileSync(
    script,
    `#!/bin/sh
for arg; do case $arg in --rootfs=*) rootfs=\${arg#*=} ;; --path=*) path=\${arg#*=} ;; esac; done
mkdir -p "$rootfs" && cp -a '${rootfs}/.' "$rootfs/"
grep -v 'lxc.net\\|apparmor' "$path/config" >"$path/new"
cat >>"$path/new" <<EOF
${SETTINGS}EOF
mv "$path/new" "$path/config"
`,
    { mode: 0o755 },
  );
  return script;
}

/** Changes of all kinds, made in the running container. */
async function changeInside(at: LxcHost, name: string, text: string): Promise<void> {
  await at.lxc("lxc-start", name);
  await at.attach(
    name,
    `echo ${text} >/root/${text}; echo ${text} >>/etc/a; rm -rf /etc/b /srv/deep; mkdir -p /srv/deep; echo new >/srv/deep/new
     mv /srv/e /srv/moved-${text} 2>/dev/null; ln -f /root/${text} /root/linked; chmod 4711 /bin/busybox; ln -sf /nowhere /root/link`,
  );
  await at.lxc("lxc-stop", name, "-k");
}

interface Stood {
  readonly lowers: readonly string[];
  readonly upper: string | undefined;
}

/** What a config of any age names, without delta0's reader. */
function rootfsIn(directory: string): Stood {
  const value = /^lxc\.rootfs(?:\.path)? *= *(.*)$/m.exec(readFileSync(`${directory}/config`, "utf8"))?.[1] ?? "";
  const [type = "", ...paths] = value.startsWith("/") ? ["dir", value] : value.split(":");
  return type === "dir" ? { lowers: paths, upper: undefined } : { lowers: paths.slice(0, -1), upper: paths.at(-1) };
}

/** That each ref is what the kernel shows of the container or snapshot in its directory. */
async function assertAsMounted(
  at: LxcHost,
  pairs: readonly (readonly [directory: string, ref: string])[],
): Promise<void> {
  await using store = await Store.open(at.store);
  for (const [directory, ref] of pairs) {
    const { lowers, upper } = rootfsIn(directory);
    const [view, exported] = [`${at.path}/view`, `${at.path}/exported`];
    mkdirSync(view);
    if (upper === undefined) await run("mount", ["--bind", lowers[0] ?? "", view]);
    else await run("mount", ["-t", "overlay", "overlay", "-o", `ro,lowerdir=${[upper, ...lowers].join(":")}`, view]);
    try {
      await exportTree({ store, command: "test" }, { ref, target: exported });
      assert.deepEqual(await compareManifests(view, exported), [], ref);
    } finally {
      await run("umount", [view]);
      await run("rm", ["-rf", view, exported]);
    }
  }
}

async function starts(at: LxcHost, name: string, script: string): Promise<string> {
  await at.lxc("lxc-start", name);
  const said = await at.attach(name, script);
  await at.lxc("lxc-stop", name, "-k");
  return said;
}

const adopt = (at: LxcHost, ...args: string[]) => at.ok("lxc", "adopt", ...args, "-P", at.lxcPath);
const adoptFails = async (at: LxcHost, ...args: string[]): Promise<Record<string, unknown>> =>
  failureOf(await at.delta0(["lxc", "adopt", ...args, "-P", at.lxcPath, "--json"]));

test("lxc: adopt: what LXC created, snapshotted and cloned is taken in as the kernel shows it, and can be converted", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "rsync")) return;
  await using at = await lxcHost();
  const comment = `${at.path}/comment`;
  writeFileSync(comment, "before the upgrade\nof web\n");
  await at.lxc("lxc-create", "base", "-t", await template(at));
  await at.lxc("lxc-snapshot", "base", "-c", comment);
  await changeInside(at, "base", "base1");
  await at.lxc("lxc-snapshot", "base");
  await at.lxc("lxc-copy", "base", "-N", "web", "-s", "-B", "overlay");
  await changeInside(at, "web", "one");
  await at.lxc("lxc-snapshot", "web", "-c", comment);
  await changeInside(at, "web", "two");
  await at.lxc("lxc-snapshot", "web");
  await at.lxc("lxc-copy", "web", "-N", "web2", "-s", "-B", "overlay");
  await changeInside(at, "web2", "three");
  const before = await readManifest(at.lxcPath);

  const planned = documentOf(
    await at.delta0(["init"]).then(() => adopt(at, "web", "--convert", "--dry-run", "--json")),
  ) as { snapshots: { snapshot: string; message: string }[]; config: string };
  assert.deepEqual(
    planned.snapshots.map(({ snapshot, message }) => [snapshot, message]),
    [
      ["snap0", "before the upgrade\nof web"],
      ["snap1", ""],
    ],
  );
  assert.match(planned.config, /lxc.uts.name = web\n/);
  assert.deepEqual(documentOf(await at.ok("ls", "--json"))["items"], []);

  for (const name of ["base", "web", "web2"]) await adopt(at, name, "--as", `${name}-new`);
  await assertAsMounted(
    at,
    ["base", "web", "web2"].flatMap((name) => [
      [`${at.lxcPath}/${name}`, `${name}-new`] as const,
      ...(name === "web2" ? [] : ["snap0", "snap1"]).map(
        (snap) => [`${at.lxcPath}/${name}/snaps/${snap}`, `${name}-new@${snap}`] as const,
      ),
    ]),
  );
  const isNew = (path: string): boolean => path.includes("-new") || path === "";
  const now = new Map([...(await readManifest(at.lxcPath))].filter(([path]) => !isNew(path)));
  assert.deepEqual(now, new Map([...before].filter(([path]) => !isNew(path))), "the originals were touched");
  assert.equal(await starts(at, "web-new", "cat /root/one /root/two; cat /etc/b || true"), "one\ntwo\n");
  const listed = documentOf(await at.ok("snapshot", "-L", "web-new", "--json")) as { items: { message: string }[] };
  assert.deepEqual(
    listed.items.map(({ message }) => message),
    ["before the upgrade\nof web", ""],
  );

  // base holds what web and web2 stand on.
  assert.equal((await adoptFails(at, "base", "--convert"))["code"], "REFUSED");
  assert.deepEqual(await run("ls", [at.lxcPath]), "base\nbase-new\nweb\nweb-new\nweb2\nweb2-new\n");
  for (const name of ["web", "web2", "base"]) await adopt(at, name, "--convert");
  assert.ok(!existsSync(`${at.lxcPath}/web/overlay`) && !existsSync(`${at.lxcPath}/web/snaps`));
  assert.ok(!existsSync(`${at.lxcPath}/base/lxc_snapshots`));
  assert.equal(await starts(at, "web", "cat /root/one /root/two; echo three >/root/three"), "one\ntwo\n");
  assert.equal(await starts(at, "web2", "cat /root/three"), "three\n");
  assert.equal(await starts(at, "base", "cat /root/base1"), "base1\n");
  await at.ok("rollback", "web", "snap0");
  assert.equal(await starts(at, "web", "ls /root"), "base1\nlink\nlinked\none\n");
  await at.ok("rollback", "base", "snap0");
  assert.equal(await starts(at, "base", "cat /etc/a"), "etc/a");
  await at.lxc("lxc-destroy", "base");
});

test("lxc: adopt: a container of LXC 1 with several lowers and legacy keys is what the kernel shows, and starts when converted", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "setfattr")) return;
  await using at = await lxcHost();
  const old = `${at.lxcPath}/old`;
  const [one, two] = [`${at.path}/layers/one`, `${at.path}/layers/two`];
  await busyboxRootfs(one);
  await run("bash", [
    "-ec",
    `
    mkdir -p ${two}/etc/sub ${two}/srv ${old}/{delta0,olwork,rootfs} ${old}/../../lxcsnaps/old/snap0/{delta0,olwork}
    mkdir -p ${one}/etc/sub ${one}/gone/below ${one}/opaque/x; echo 1 >${one}/etc/1; echo 1 >${one}/etc/sub/1; echo 1 >${one}/both
    echo 2 >${two}/etc/2; echo 2 >${two}/both; mknod ${two}/gone c 0 0; mkdir ${two}/opaque; echo 2 >${two}/opaque/2
    setfattr -n trusted.overlay.opaque -v y ${two}/opaque; setfattr -n trusted.overlay.overlay.opaque -v y ${two}/srv
    mkdir -p ${old}/delta0/etc/sub ${old}/delta0/opaque; echo up >${old}/delta0/etc/sub/up; mknod ${old}/delta0/etc/1 c 0 0
    setfattr -n user.note -v mine ${old}/delta0/opaque; echo up >${old}/delta0/opaque/up; mkdir ${old}/delta0/gone
    ln ${old}/delta0/opaque/up ${old}/delta0/opaque/up2; chmod 0711 ${old}/delta0; touch -d 2001-02-03 ${old}/delta0
    cp -a ${old}/delta0/. ${at.lxcPath}snaps/old/snap0/delta0; echo then >${at.lxcPath}snaps/old/snap0/delta0/then
    printf '2014:05:06 07:08:09' >${at.lxcPath}snaps/old/snap0/ts; echo 'from trusty' >${at.lxcPath}snaps/old/snap0/comment
  `,
  ]);
  const legacy = (upper: string): string => `# by hand
lxc.rootfs = overlayfs:${two}:${one}:${upper}
lxc.utsname = old
lxc.network.type = empty
lxc.aa_profile = unconfined
lxc.init_cmd = /bin/sleep 1000
lxc.haltsignal = SIGKILL
lxc.pivotdir = lxc_putold
lxc.mount = ${old}/fstab
`;
  writeFileSync(`${old}/config`, legacy(`${old}/delta0`));
  mkdirSync(`${at.path}/shared`);
  writeFileSync(`${at.path}/shared/here`, "mounted\n");
  writeFileSync(`${old}/fstab`, `${at.path}/shared tmp none bind 0 0\n`);
  writeFileSync(`${at.lxcPath}snaps/old/snap0/config`, legacy(`${at.lxcPath}snaps/old/snap0/delta0`));
  await adopt(at, "old", "--as", "new");
  await assertAsMounted(at, [
    [old, "new"],
    [`${at.lxcPath}snaps/old/snap0`, "new@snap0"],
  ]);
  assert.equal(await starts(at, "new", "cat /opaque/up /etc/2; cat /tmp/here"), "up\n2\nmounted\n");

  const { config, left } = documentOf(await adopt(at, "old", "--convert", "--json")) as {
    config: string;
    left: string[];
  };
  assert.deepEqual(left, []);
  for (const line of ["lxc.uts.name = old", "lxc.net.0.type = empty", "lxc.init.cmd = /bin/sleep 1000", "# by hand"])
    assert.ok(config.includes(`${line}\n`), `${line} is not in ${config}`);
  assert.ok(!/lxc\.(pivotdir|rootfs |network|utsname)/.test(config));
  assert.equal(await starts(at, "old", "cat /opaque/up /etc/2; cat /tmp/here"), "up\n2\nmounted\n");
  assert.ok(!existsSync(`${at.lxcPath}snaps/old`) && existsSync(`${two}/gone`));
  const { items } = documentOf(await at.ok("snapshot", "-L", "old", "--json")) as { items: { message: string }[] };
  assert.equal(items[0]?.message, "from trusty");
  assert.equal((await at.ok("cat", "old@snap0:/then")).stdout, "then\n");
});

test("lxc: adopt: a copy that LXC made of a container of the store becomes one of its own", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "rsync")) return;
  await using at = await lxcHost();
  await busyboxRootfs(`${at.path}/rootfs`);
  await at.ok("import", `${at.path}/rootfs`, "base");
  await at.ok("create", "base", "web", ...SLEEP);
  await starts(at, "web", "echo one >/root/file");
  await at.lxc("lxc-copy", "web", "-N", "copy", "-s");
  await starts(at, "copy", "echo two >>/root/file; rm /bin/touch");
  const exports = await exportsOf(at);
  await adopt(at, "copy", "--convert");
  assert.equal(await starts(at, "copy", "cat /root/file; ls /bin/touch 2>/dev/null || echo gone"), "one\ntwo\ngone\n");
  assert.deepEqual(await exportsOf(at), exports);
  assert.equal((await adoptFails(at, "copy"))["code"], "USAGE");
  const status = await at.delta0(["status", "copy"]);
  assert.match(status.stdout, /bin\/touch/);
});

async function exportsOf(at: LxcHost): Promise<unknown[]> {
  const { items } = documentOf(await at.ok("exports", "--json")) as { items: { digest: string }[] };
  return items.map(({ digest }) => digest);
}

test("lxc: adopt: ids of an unprivileged container are in the store as they are inside", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await lxcHost();
  const rootfs = await busyboxRootfs(`${at.path}/rootfs`);
  await run("chown", ["7:8", `${rootfs}/tmp`]);
  await run("touch", ["-d", "2020-01-01", rootfs]);
  await at.ok("import", rootfs, "plain");
  const web = `${at.lxcPath}/web`;
  mkdirSync(web);
  await run("cp", ["-a", rootfs, `${web}/rootfs`]);
  await run("chown", ["-hR", "100000:100000", `${web}/rootfs`]);
  await run("chown", ["100007:100008", `${web}/rootfs/tmp`]);
  await run("touch", ["-d", "2020-01-01", `${web}/rootfs`]);
  const idmap = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n";
  writeFileSync(`${web}/config`, `lxc.rootfs.path = dir:${web}/rootfs\nlxc.uts.name = web\n${SETTINGS}${idmap}`);
  const { digest } = documentOf(await adopt(at, "web", "--convert", "--json"));
  assert.equal(digest, documentOf(await at.ok("show", "plain", "--json"))["digest"]);
  assert.match(readFileSync(`${web}/config`, "utf8"), /userxattr/);
});

test("lxc: adopt: what cannot be taken in is refused before anything is changed, with its reason", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await lxcHost();
  const web = `${at.lxcPath}/web`;
  await busyboxRootfs(`${web}/rootfs`);
  await refuseAll(at, web);

  await at.ok("config", "lxc.path", at.lxcPath);
  assert.match((await at.delta0(["clone", "web", "web2"])).stderr, /delta0 lxc adopt web/);
  assert.equal((await at.delta0(["lxc", "adopt", "web", "--convert", "--as", "other"])).code, 2);

  const before = await readManifest(at.lxcPath);
  assert.match((await at.ok("lxc", "adopt", "web", "--dry-run", "--convert")).stdout, /rootfs {2}/);
  assert.deepEqual(await readManifest(at.lxcPath), before);
  await at.ok("lxc", "adopt", "web", "--convert");
  assert.equal(readFileSync(`${web}/kept`, "utf8"), "foreign");
  assert.equal(await starts(at, "web", "echo here"), "here\n");
  assert.equal((await adoptFails(at, "web"))["code"], "USAGE");
});

async function refuseAll(at: LxcHost, web: string): Promise<void> {
  await using store = await Store.open(at.store, { create: true });
  const refused = async (name: string, code: string, params: { convert?: boolean } = {}): Promise<void> =>
    await assert.rejects(takeIn({ store, command: "test" }, { name, lxcPath: at.lxcPath, ...params }), { code });
  const configure = (rootfs: string): void =>
    writeFileSync(`${web}/config`, `lxc.rootfs.path = ${rootfs}\nlxc.uts.name = web\n${SETTINGS}`);

  configure(`dir:${web}/rootfs`);
  await at.lxc("lxc-start", "web");
  await refused("web", "REFUSED");
  await at.lxc("lxc-stop", "web", "-k");

  // A missing lower, no upper, a file in its place, and storages that are no directories.
  configure(`overlay:${at.path}/nowhere:${web}/delta0`);
  await refused("web", "NOT_FOUND");
  configure(`overlay:${web}/rootfs:${web}/delta0`);
  await refused("web", "NOT_FOUND");
  writeFileSync(`${web}/delta0`, "foreign");
  await refused("web", "SOURCE_INVALID");
  for (const rootfs of ["zfs:lxc/web", "lvm:/dev/lxc/web", "loop:/web.img"]) {
    configure(rootfs);
    await refused("web", "UNSUPPORTED");
  }
  await refused("none", "NOT_FOUND");

  // What no config names would be lost by a conversion.
  configure(`dir:${web}/rootfs`);
  await refused("web", "REFUSED", { convert: true });
  renameSync(`${web}/delta0`, `${web}/kept`);
  mkdirSync(`${web}/rootfs/mnt`);
  await run("mount", ["-t", "tmpfs", "tmpfs", `${web}/rootfs/mnt`]);
  await refused("web", "REFUSED");
  await run("umount", [`${web}/rootfs/mnt`]);
  assert.deepEqual(await list({ store, command: "test" }), []);
}
