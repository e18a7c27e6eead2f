import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { documentOf } from "../support/cli.ts";
import { requireCommands, requireLxc, requireRootfs } from "../support/requirements.ts";
import { rootfsTar } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { booted, type LxcHost, lxcHost } from "./support.ts";

const FILES = [
  "etc/hostname",
  "etc/machine-id",
  ...["ecdsa", "ed25519", "rsa"].flatMap((type) => [
    `etc/ssh/ssh_host_${type}_key`,
    `etc/ssh/ssh_host_${type}_key.pub`,
  ]),
];
const TYPES = ["ECDSA", "ED25519", "RSA"];

test("lxc identity: two clones of one Debian are two machines, with names, ids and host keys of their own, now and later", async (t) => {
  if (!requireLxc(t) || !requireRootfs(t, "bookworm") || !requireCommands(t, "ssh-keygen")) return;
  await using at = await lxcHost();
  await at.ok("import", await rootfsTar("bookworm"), "image");
  // As one has it that has run, which is what people clone.
  await at.ok("create", "image", "web", "--identity", "keep");
  await at.delta0(["put", "-", "web:/etc/machine-id"], { input: `${"1".repeat(32)}\n` });
  await at.ok("commit", "web", "base");
  const base = await machineOf(at, "base");
  assert.deepEqual(base.types, TYPES);
  const { digest } = documentOf(await at.ok("show", "base", "--json"));

  await at.ok("clone", "web", "web1", "web2");
  for (const name of ["web1", "web2"])
    assert.equal(documentOf(await at.ok("show", name, "--json"))["digest"], digest, "unstarted it is the same tree");

  const seen = [base];
  for (const name of ["web1", "web2"]) {
    await at.lxc("lxc-start", name);
    assert.equal(await booted(at, name), "running");
    const inside = `hostname; cat /etc/machine-id; cat /etc/ssh/ssh_host_*_key.pub; mkdir -p /run/sshd; /usr/sbin/sshd -t && echo fine`;
    const [host, id, ...keys] = (await at.attach(name, inside)).trim().split("\n");
    assert.equal(host, name);
    assert.equal(keys.pop(), "fine", "sshd takes its keys");
    await at.lxc("lxc-stop", name, "-t", "20");
    const machine = await machineOf(at, name);
    assert.deepEqual([machine.id, machine.types, keys], [id, TYPES, machine.keys]);
    for (const other of seen) {
      assert.notEqual(machine.id, other.id);
      assert.notEqual(machine.host, other.host);
      assert.ok(machine.fingerprints.every((fingerprint) => !other.fingerprints.includes(fingerprint)));
    }
    seen.push(machine);
    const changes = documentOf(await at.delta0(["status", name, "--json"]))["changes"] as { path: string }[];
    const ofIdentity = changes.filter(({ path }) => /^etc\/(hostname|hosts|machine-id|ssh)/.test(path));
    assert.deepEqual(ofIdentity.map(({ path }) => path).sort(), FILES);
  }
  assert.deepEqual(await machineOf(at, "base"), base);
  assert.deepEqual(await machineOf(at, "web"), base);

  await at.lxc("lxc-start", "web1");
  await at.lxc("lxc-stop", "web1", "-k");
  assert.deepEqual(await machineOf(at, "web1"), seen[1], "the second start keeps all");
  assert.match((await at.ok("lxc", "identity", "web1")).stdout, /next start/);
  await at.lxc("lxc-start", "web1");
  await at.lxc("lxc-stop", "web1", "-k");
  const again = await machineOf(at, "web1");
  assert.equal(again.host, seen[1]?.host);
  assert.notEqual(again.id, seen[1]?.id);
  assert.ok(
    again.fingerprints.every((fingerprint) => !seen.some((machine) => machine.fingerprints.includes(fingerprint))),
  );
});

interface Machine {
  readonly host: string;
  readonly id: string;
  /** Lines of its public keys, in the order of the files' names. */
  readonly keys: readonly string[];
  readonly types: readonly string[];
  readonly fingerprints: readonly string[];
}

/** What a state has, without starting it; the private keys must be those of the public ones. */
async function machineOf(at: LxcHost, ref: string): Promise<Machine> {
  const [keys, types, fingerprints]: [string[], string[], string[]] = [[], [], []];
  const copy = `${at.path}/copy-of-${ref}`;
  mkdirSync(copy, { recursive: true });
  await run("rm", ["-rf", `${copy}/ssh`]);
  await at.ok("get", `${ref}:/etc/ssh`, copy);
  for (const type of ["ecdsa", "ed25519", "rsa"]) {
    const file = `${copy}/ssh/ssh_host_${type}_key`;
    const publicKey = readFileSync(`${file}.pub`, "utf8").trim();
    // ssh-keygen has the comment from the private key.
    assert.equal((await run("ssh-keygen", ["-y", "-f", file])).trim(), publicKey);
    assert.equal((await run("stat", ["-c", "%a %u %g", file])).trim(), "600 0 0");
    const [, fingerprint = "", , shown = ""] = (await run("ssh-keygen", ["-l", "-f", file])).trim().split(" ");
    keys.push(publicKey);
    types.push(shown.replace(/[()]/g, ""));
    fingerprints.push(fingerprint);
  }
  const { stdout } = await at.ok("cat", `${ref}:/etc/hostname`, `${ref}:/etc/machine-id`);
  const [host = "", id = ""] = stdout.trim().split("\n");
  return { host, id, keys, types, fingerprints };
}
