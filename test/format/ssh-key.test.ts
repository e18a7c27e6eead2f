import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { formatSshKey, parseSshKeyKind } from "../../src/format/ssh-key.ts";
import type { SshKeyKind } from "../../src/format/ssh-key.ts";
import { requireCommands } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const ec = (namedCurve: string): KeyObject => generateKeyPairSync("ec", { namedCurve }).privateKey;
const rsa = (modulusLength: number): KeyObject => generateKeyPairSync("rsa", { modulusLength }).privateKey;

const KEYS: readonly (readonly [SshKeyKind, make: () => KeyObject])[] = [
  [{ type: "ed25519" }, () => generateKeyPairSync("ed25519").privateKey],
  [{ type: "ecdsa", curve: "nistp256" }, () => ec("P-256")],
  [{ type: "ecdsa", curve: "nistp384" }, () => ec("P-384")],
  [{ type: "ecdsa", curve: "nistp521" }, () => ec("P-521")],
  [{ type: "rsa", bits: 2048 }, () => rsa(2048)],
  [{ type: "rsa", bits: 2056 }, () => rsa(2056)],
];

test("ssh key: ssh-keygen reads what is written, finds the same public key in it, and the bits", async (t) => {
  if (!requireCommands(t, "ssh-keygen")) return;
  await using directory = await temporaryDirectory();
  const file = `${directory.path}/key`;
  for (const [kind, make] of KEYS) {
    // Now and then a number begins with a zero byte, or has its highest bit set.
    for (let i = 0; i < (kind.type === "rsa" ? 1 : 12); i++) {
      const { privateKey, publicKey } = formatSshKey(make(), "root@web");
      writeFileSync(file, privateKey);
      chmodSync(file, 0o600);
      assert.equal(await run("ssh-keygen", ["-y", "-f", file]), publicKey);
      writeFileSync(`${file}.pub`, publicKey);
      const bits = kind.type === "rsa" ? kind.bits : kind.type === "ed25519" ? 256 : Number(kind.curve.slice(5));
      const [shownBits, , comment, type] = (await run("ssh-keygen", ["-l", "-f", `${file}.pub`])).trim().split(" ");
      assert.deepEqual([Number(shownBits), comment, type], [bits, "root@web", `(${kind.type.toUpperCase()})`]);
      // It signs with the private half, and checks that against the public one.
      await run("ssh-keygen", ["-q", "-Y", "sign", "-n", "test", "-f", file, `${file}.pub`]);
      const signed = `${file}.pub.sig`;
      assert.match(readFileSync(signed, "utf8"), /BEGIN SSH SIGNATURE/);
      await run("rm", [signed]);
    }
  }
});

test("ssh key: ssh-keygen, asked for the same key again, writes it byte for byte so, but for the random check", async (t) => {
  if (!requireCommands(t, "ssh-keygen")) return;
  await using directory = await temporaryDirectory();
  const file = `${directory.path}/key`;
  for (const [, make] of KEYS) {
    const { privateKey } = formatSshKey(make(), "a comment");
    writeFileSync(file, privateKey, { mode: 0o600 });
    await run("ssh-keygen", ["-q", "-p", "-P", "", "-N", "", "-f", file]);
    const [ours, theirs] = [privateKey, readFileSync(file, "utf8")].map(withoutCheck);
    assert.deepEqual(ours, theirs);
  }
});

test("ssh key: its kind is told from OpenSSH's format and from PEM", async (t) => {
  for (const [kind, make] of KEYS) {
    const key = make();
    assert.deepEqual(parseSshKeyKind(formatSshKey(key, "").privateKey), kind);
    for (const type of ["pkcs8", ...(kind.type === "rsa" ? ["pkcs1"] : kind.type === "ecdsa" ? ["sec1"] : [])])
      assert.deepEqual(parseSshKeyKind(key.export({ format: "pem", type: type as "pkcs8" }).toString()), kind);
  }
  if (!requireCommands(t, "ssh-keygen")) return;
  await using directory = await temporaryDirectory();
  for (const [i, [type, bits, kind]] of (
    [
      ["ed25519", "256", { type: "ed25519" }],
      ["ecdsa", "521", { type: "ecdsa", curve: "nistp521" }],
      ["rsa", "3072", { type: "rsa", bits: 3072 }],
    ] as const
  ).entries()) {
    const file = `${directory.path}/${i}`;
    await run("ssh-keygen", ["-q", "-t", type, "-b", bits, "-N", "secret", "-f", file]);
    assert.deepEqual(parseSshKeyKind(readFileSync(file, "utf8")), kind, "encrypted, too");
  }
});

test("ssh key: what is no key, is cut short, or of another kind has no kind", () => {
  const [, make] = KEYS[0] ?? [];
  assert.ok(make);
  const { privateKey } = formatSshKey(make(), "c");
  const body = Buffer.from(privateKey.split("\n").slice(1, -2).join(""), "base64");
  const wrapped = (bytes: Uint8Array): string =>
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${Buffer.from(bytes).toString("base64")}\n-----END OPENSSH PRIVATE KEY-----\n`;
  assert.deepEqual(parseSshKeyKind(wrapped(body)), { type: "ed25519" });
  for (let length = 0; length < 60; length++)
    assert.equal(parseSshKeyKind(wrapped(body.subarray(0, length))), undefined);
  const dsa = generateKeyPairSync("dsa", { modulusLength: 1024, divisorLength: 160 }).privateKey;
  const others = ["", "text", "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n"];
  for (const text of [...others, dsa.export({ format: "pem", type: "pkcs8" }).toString()])
    assert.equal(parseSshKeyKind(text), undefined);
  assert.throws(() => createPrivateKey(privateKey), "OpenSSL does not read OpenSSH's format itself");
});

/** The bytes of a key file of OpenSSH's without the two random numbers that begin its private part. */
function withoutCheck(text: string): Buffer {
  const bytes = Buffer.from(text.split("\n").slice(1, -2).join(""), "base64");
  let at = "openssh-key-v1\0".length;
  for (let i = 0; i < 3; i++) at += 4 + bytes.readUInt32BE(at);
  at += 4;
  at += 4 + bytes.readUInt32BE(at);
  return Buffer.concat([bytes.subarray(0, at + 4), bytes.subarray(at + 12)]);
}
