import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  capture,
  clone,
  configure,
  create,
  identity,
  importLayer,
  openContainer,
  openView,
  rename,
  reset,
  rollback,
  show,
  snapshot,
  status,
} from "../../src/index.ts";
import type { TreeView } from "../../src/index.ts";
import { formatSshKey, parseSshKeyKind } from "../../src/format/ssh-key.ts";
import { FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";
import type { TestHost } from "./support.ts";

const MACHINE_ID = "0123456789abcdef0123456789abcdef";

/** What of the machine below stays as it is. */
const OTHERS: Readonly<Record<string, string>> = {
  "var/lib/dhcp/dhcpd.leases": "a server's",
  "etc/dhcpcd.conf": "duid\n",
  "etc/ssh/sshd_config": "Port 22\n",
  "etc/ssh/ssh_host_ed25519_key-cert.pub": "a certificate\n",
};
const RENEWED = [
  "etc/hostname",
  "etc/hosts",
  "etc/machine-id",
  "etc/ssh/ssh_host_ecdsa_key",
  "etc/ssh/ssh_host_ecdsa_key.pub",
  "etc/ssh/ssh_host_ed25519_key",
  "etc/ssh/ssh_host_ed25519_key.pub",
];
const REMOVED = [
  "etc/dhcpcd.duid",
  "var/lib/NetworkManager/secret_key",
  "var/lib/dhcp/dhclient.eth0.leases",
  "var/lib/dhcpcd/duid",
];

/** A root filesystem of a machine that is called "old". */
async function openMachine(): Promise<TestHost> {
  const at = await openTestHost();
  const keys = { ed25519: generateKeyPairSync("ed25519"), ecdsa: generateKeyPairSync("ec", { namedCurve: "P-256" }) };
  const files: Record<string, string> = {
    ...OTHERS,
    "etc/hostname": "old\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 old.example.org old\n",
    "etc/machine-id": `${MACHINE_ID}\n`,
  };
  for (const path of REMOVED) files[path] = "what a server knows it by\n";
  for (const [type, { privateKey }] of Object.entries(keys)) {
    const made = formatSshKey(privateKey, "root@old");
    files[`etc/ssh/ssh_host_${type}_key`] = made.privateKey;
    files[`etc/ssh/ssh_host_${type}_key.pub`] = made.publicKey;
  }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(`${at.source}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    writeFileSync(`${at.source}/${path}`, text);
  }
  for (const type of Object.keys(keys)) chmodSync(`${at.source}/etc/ssh/ssh_host_${type}_key`, 0o600);
  mkdirSync(`${at.source}/var/lib/dbus`);
  symlinkSync("/etc/machine-id", `${at.source}/var/lib/dbus/machine-id`);
  await importLayer(at.context, { source: at.source, name: "base" });
  return at;
}

async function pathsOf(at: TestHost, name: string): Promise<string[]> {
  const { changes } = await status(at.context, { name });
  return changes.map(({ path, kind }) => `${kind} ${path}`).sort();
}

/** What only this machine has. */
function secretsOf(view: TreeView): string[] {
  const names = ["/etc/machine-id", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key"];
  return names.map((name) => view.readFileSync(name, "utf8"));
}

async function secrets(at: TestHost, ref: string): Promise<string[]> {
  return secretsOf(await openView(at.context, { ref }));
}

test("identity: a clone that was not started shares its digest and costs a record and 4 inodes; started, just these files are new", async () => {
  await using at = await openMachine();
  const { lxcPath } = at;
  await create(at.context, { source: "base", name: "web", lxcPath, ...FOR_ANYBODY });
  await clone(at.context, { ref: "web", names: ["two", "three"], lxcPath });
  const { digest } = await show(at.context, { ref: "base" });
  for (const name of ["web", "two", "three"]) {
    const shown = await show(at.context, { ref: name });
    assert.deepEqual([shown.digest, shown.container?.identityPending], [digest, true]);
    assert.deepEqual(readdirSync(`${lxcPath}/${name}`).sort(), ["config", "pending", "rootfs"]);
  }
  const metadata = (view: TreeView): unknown[] =>
    RENEWED.map((path) => view.statSync(`/${path}`)).map(({ mode, uid, gid, nlink }) => [mode, uid, gid, nlink]);
  const before = metadata(await openView(at.context, { ref: "base" }));
  const seen = new Set(await secrets(at, "base"));
  for (const [i, name] of ["two", "three"].entries()) {
    await startContainer(at.context, name);
    assert.deepEqual(readdirSync(`${lxcPath}/${name}`).sort(), ["config", "delta0", "rootfs"]);
    const expected = [...RENEWED.map((path) => `changed ${path}`), ...REMOVED.map((path) => `removed ${path}`)];
    const changed = (await pathsOf(at, name)).filter((change) => !change.startsWith("metadata "));
    assert.deepEqual(changed, expected.sort());
    const view = await openView(at.context, { ref: name });
    assert.equal(view.readFileSync("/etc/hostname", "utf8"), `${name}\n`);
    assert.match(view.readFileSync("/etc/hosts", "utf8"), new RegExp(`127.0.1.1 ${name}.example.org ${name}\n`));
    assert.match(view.readFileSync("/etc/machine-id", "utf8"), /^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}\n$/);
    assert.equal(view.readlinkSync("/var/lib/dbus/machine-id"), "/etc/machine-id");
    assert.match(view.readFileSync("/etc/ssh/ssh_host_ed25519_key.pub", "utf8"), new RegExp(` root@${name}\n$`));
    const kind = parseSshKeyKind(view.readFileSync("/etc/ssh/ssh_host_ecdsa_key", "utf8"));
    assert.deepEqual(kind, { type: "ecdsa", curve: "nistp256" });
    assert.deepEqual(metadata(view), before);
    for (const secret of secretsOf(view)) seen.add(secret);
    assert.equal(seen.size, 3 * (i + 2));
    // The delta that the container mounts has it, too.
    assert.equal(readFileSync(`${lxcPath}/${name}/delta0/etc/hostname`, "utf8"), `${name}\n`);
  }
  assert.equal((await show(at.context, { ref: "base" })).digest, digest);
  assert.equal((await show(at.context, { ref: "web" })).digest, digest);
  const [once, { container }] = [await secrets(at, "two"), await show(at.context, { ref: "two" })];
  assert.equal(container?.identityPending, false);
  await startContainer(at.context, "two");
  assert.deepEqual(await secrets(at, "two"), once, "a second start changes nothing");
});

test("identity: a clone of a clone is a third machine; with keep, from the setting or the call, or without LXC, it is the same", async () => {
  await using at = await openMachine();
  const { lxcPath } = at;
  await create(at.context, { source: "base", name: "web", lxcPath, ...FOR_ANYBODY });
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/srv`, "mine"));
  await capture(at.context, { name: "web" });
  const [base, web] = [await secrets(at, "base"), await secrets(at, "web")];
  await clone(at.context, { ref: "web", names: ["new"], lxcPath });
  await clone(at.context, { ref: "web", names: ["stored"], noLxc: true });
  await clone(at.context, { ref: "web", names: ["config"], lxcPath, identity: "config" });
  await configure(at.context, { key: "identity", value: "keep" });
  await clone(at.context, { ref: "web", names: ["kept"], lxcPath });
  await clone(at.context, { ref: "web", names: ["made"], lxcPath, identity: "new" });
  for (const name of ["new", "config", "kept", "made"]) await startContainer(at.context, name);
  const { digest } = await show(at.context, { ref: "web" });
  for (const name of ["stored", "config", "kept"]) assert.equal((await show(at.context, { ref: name })).digest, digest);
  const all = [base, web, await secrets(at, "new"), await secrets(at, "made")].flat();
  assert.equal(new Set(all).size, 12);
  assert.equal((await openView(at.context, { ref: "made" })).readFileSync("/srv", "utf8"), "mine");
  const hostOf = (name: string): string | undefined =>
    /^lxc.uts.name = (.*)$/m.exec(readFileSync(`${lxcPath}/${name}/config`, "utf8"))?.[1];
  assert.deepEqual(["new", "config", "kept"].map(hostOf), ["new", "config", "web"]);
  for (const params of [
    { key: "identity", value: "other" },
    { key: "identity", value: "config" },
  ])
    await assert.rejects(configure(at.context, params), { code: "USAGE" });
});

test("identity: the name is that at the first start; what was changed before is kept", async () => {
  await using at = await openMachine();
  const { lxcPath } = at;
  await create(at.context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
  await rename(at.context, { from: "web", to: "www" });
  {
    await using view = await openContainer(at.context, { name: "www" });
    await view.promises.writeFile("/bin/mine", "mine");
    await view.promises.rm("/etc/ssh/ssh_host_ecdsa_key");
  }
  await startContainer(at.context, "www");
  const after = await openView(at.context, { ref: "www" });
  assert.equal(after.readFileSync("/etc/hostname", "utf8"), "www\n");
  assert.equal(after.readFileSync("/bin/mine", "utf8"), "mine");
  assert.ok(!after.existsSync("/etc/ssh/ssh_host_ecdsa_key"));
  assert.notEqual(after.readFileSync("/etc/machine-id", "utf8"), `${MACHINE_ID}\n`);
});

test("identity: what holds none is not waited for; an id that systemd is to make is left to it", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  mkdirSync(`${at.source}/var/lib/dbus`, { recursive: true });
  for (const text of ["", "uninitialized\n"]) {
    writeFileSync(`${at.source}/etc/machine-id`, text);
    const name = `web${text.length}`;
    await create(at.context, { source: at.source, name, lxcPath, ...FOR_ANYBODY });
    assert.equal((await show(at.context, { ref: name })).container?.identityPending, false);
    assert.deepEqual(readdirSync(`${lxcPath}/${name}`).sort(), ["config", "delta0", "rootfs"]);
  }
  // systemd takes that of D-Bus where its own is empty.
  writeFileSync(`${at.source}/var/lib/dbus/machine-id`, `${MACHINE_ID}\n`);
  writeFileSync(`${at.source}/etc/hosts`, Buffer.alloc(2 << 20, "127.0.0.1 web\n"));
  await create(at.context, { source: at.source, name: "dbus", lxcPath, ...FOR_ANYBODY });
  await startContainer(at.context, "dbus");
  const view = await openView(at.context, { ref: "dbus" });
  assert.equal(view.readFileSync("/etc/machine-id", "utf8"), "uninitialized\n");
  assert.notEqual(view.readFileSync("/var/lib/dbus/machine-id", "utf8"), `${MACHINE_ID}\n`);
});

test("identity: a key of a kind that cannot be made is left, and told of", async () => {
  await using at = await openMachine();
  writeFileSync(
    `${at.source}/etc/ssh/ssh_host_dsa_key`,
    "-----BEGIN DSA PRIVATE KEY-----\nAA==\n-----END DSA PRIVATE KEY-----\n",
  );
  await create(at.context, { source: at.source, name: "web", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  await startContainer(at.context, "web");
  assert.ok((await pathsOf(at, "web")).every((change) => !change.includes("dsa_key") || change.includes("ecdsa")));
  assert.equal(at.warnings.filter((warning) => warning.includes("/etc/ssh/ssh_host_dsa_key")).length, 1);
});

test("identity: a stopped container gets another one by the command, MAC addresses and name at once, and once only", async () => {
  await using at = await openMachine();
  const { lxcPath } = at;
  const settings = [...FOR_ANYBODY.settings, "lxc.net.0.hwaddr=00:16:3e:00:00:01", "lxc.uts.name=chosen"];
  await create(at.context, { source: "base", name: "web", lxcPath, settings, identity: "keep" });
  const config = (): string => readFileSync(`${lxcPath}/web/config`, "utf8");
  assert.match(config(), /hwaddr = 00:16:3e:00:00:01\n/);
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/srv`, "mine"));
  await capture(at.context, { name: "web" });
  const before = await secrets(at, "web");
  assert.deepEqual(before, await secrets(at, "base"));
  assert.deepEqual(await identity(at.context, { name: "web" }), { name: "web", atNextStart: true });
  assert.deepEqual(await identity(at.context, { name: "web" }), { name: "web", atNextStart: true });
  assert.match(config(), /^lxc.uts.name = web$/m);
  assert.doesNotMatch(config(), /00:16:3e:00:00:01/);
  assert.deepEqual(await secrets(at, "web"), before, "its files wait for the start");
  await startContainer(at.context, "web");
  assert.ok((await secrets(at, "web")).every((secret) => !before.includes(secret)));
  assert.equal(readFileSync(`${lxcPath}/web/delta0/srv`, "utf8"), "mine");

  await clone(at.context, { ref: "web", names: ["stored"], noLxc: true });
  await assert.rejects(identity(at.context, { name: "stored" }), { code: "REFUSED" });
  await assert.rejects(identity(at.context, { name: "base" }), { code: "USAGE" });
  await assert.rejects(identity(at.context, { name: "nobody" }), { code: "NOT_FOUND" });
});

test("identity: a container that goes back to what its base was is not its base's machine again; to one of its own states, it is as it was", async () => {
  await using at = await openMachine();
  const { lxcPath } = at;
  await create(at.context, { source: "base", name: "web", lxcPath, ...FOR_ANYBODY });
  const isPending = async (): Promise<boolean | undefined> =>
    (await show(at.context, { ref: "web" })).container?.identityPending;
  await snapshot(at.context, { name: "web", snapshot: "unstarted" });
  await startContainer(at.context, "web");
  const own = await secrets(at, "web");
  await snapshot(at.context, { name: "web", snapshot: "started" });
  for (const back of [
    () => reset(at.context, { name: "web" }),
    () => rollback(at.context, { name: "web", snapshot: "unstarted" }),
  ]) {
    await back();
    assert.equal(await isPending(), true);
    assert.ok(readdirSync(`${lxcPath}/web`).includes("pending"));
    await startContainer(at.context, "web");
    const now = await secrets(at, "web");
    assert.ok(now.every((secret) => !own.includes(secret)));
    await rollback(at.context, { name: "web", snapshot: "started" });
    assert.equal(await isPending(), false);
    assert.deepEqual(await secrets(at, "web"), own);
  }
  await create(at.context, { source: "base", name: "same", lxcPath, identity: "keep", ...FOR_ANYBODY });
  await startContainer(at.context, "same");
  await reset(at.context, { name: "same" });
  assert.equal((await show(at.context, { ref: "same" })).container?.identityPending, false);
});

test("identity: one that ran without its hooks is captured as the machine that it was, and is another from its next start on", async () => {
  await using at = await openMachine();
  const { lxcPath } = at;
  await create(at.context, { source: "base", name: "web", lxcPath, ...FOR_ANYBODY });
  for (const directory of ["work", "delta0"]) mkdirSync(`${lxcPath}/web/${directory}`);
  writeFileSync(`${lxcPath}/web/delta0/srv`, "mine");
  const before = await secrets(at, "web");
  assert.deepEqual(before, await secrets(at, "base"));
  await startContainer(at.context, "web");
  assert.ok((await secrets(at, "web")).every((secret) => !before.includes(secret)));
  assert.equal((await openView(at.context, { ref: "web" })).readFileSync("/srv", "utf8"), "mine");
});
