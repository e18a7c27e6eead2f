import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import { errnoOf } from "../../src/errors.ts";
import { DELTA0_WORDS, documentOf, failureOf } from "../support/cli.ts";
import type { CliOptions, CliResult } from "../support/cli.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireCommands, requireLoop, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, type LxcHost, lxcHost, SLEEP } from "./support.ts";

async function host(): Promise<LxcHost> {
  const at = await lxcHost();
  await busyboxRootfs(`${at.path}/rootfs`);
  await at.ok("import", `${at.path}/rootfs`, "base");
  return at;
}

/** Starts a container, writes its /root/file, and stops it. */
async function writes(lxcPath: string, name: string, text: string): Promise<void> {
  const of = ["-P", lxcPath, "-n", name];
  await run("lxc-start", of);
  try {
    await run("lxc-attach", [...of, "--", "/bin/sh", "-c", `echo ${text} >/root/file`]);
  } finally {
    await run("lxc-stop", [...of, "-k"]);
  }
}

test("places: LXC paths with blanks, colons, quotes and other letters work; those that LXC cannot mount are refused", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  for (const odd of ["a b", "a:b", "ä", "it's", 'say "b"', "$HOME"]) {
    const lxcPath = `${at.lxcPath}/${odd}`;
    mkdirSync(lxcPath);
    await at.delta0(["create", "base", "web", "-P", lxcPath, ...SLEEP]);
    await writes(lxcPath, "web", "one");
    assert.equal((await at.ok("cat", "web:/root/file")).stdout, "one\n", odd);
    await at.ok("rm", "web");
    assert.deepEqual(readdirSync(lxcPath), []);
  }
  for (const odd of ["a,b", "a\\b", "a:/b"]) {
    const lxcPath = `${at.lxcPath}/${odd}`;
    mkdirSync(lxcPath, { recursive: true });
    const refused = await at.delta0(["create", "base", "web", "-P", lxcPath, "--json"]);
    assert.deepEqual([refused.code, failureOf(refused)["code"]], [6, "REFUSED"], odd);
    assert.deepEqual(readdirSync(lxcPath), []);
  }
  for (const name of ["a b", "a:b", "a,b", "a\\b", "ä", "a/b", ".a", "", "x".repeat(65)])
    assert.equal((await at.delta0(["create", "base", name, "-P", at.lxcPath])).code, 2, name);
});

test("places: a store with blanks, colons, commas, backslashes, quotes and other letters in its path", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const store = `${at.path}/a b:c,d\\e ä'f"g$h`;
  const delta0 = (...args: string[]): Promise<CliResult> => at.delta0(["--store", store, ...args]);
  assert.equal((await delta0("import", `${at.path}/rootfs`, "base")).code, 0);
  assert.equal((await delta0("create", "base", "web", "-P", at.lxcPath, ...SLEEP)).code, 0);
  await writes(at.lxcPath, "web", "one");
  // Its hook has captured it.
  assert.ok(!existsSync(`${at.lxcPath}/web/work`));
  assert.equal((await delta0("cat", "web:/root/file")).stdout, "one\n");
});

test("places: an LXC path longer than a socket's name can be, and up to what the kernel takes as mount options", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const deep = (length: number): string => {
    let path = at.lxcPath;
    while (path.length < length) path += `/${"d".repeat(Math.max(1, Math.min(200, length - path.length - 1)))}`;
    mkdirSync(path, { recursive: true });
    return path;
  };
  for (const length of [150, 1850]) {
    const lxcPath = deep(length);
    await at.delta0(["create", "base", "web", "-P", lxcPath, ...SLEEP]);
    await run("lxc-start", ["-P", lxcPath, "-n", "web"]);
    try {
      const { items } = documentOf(await at.ok("ls", "--running", "--json")) as { items: unknown[] };
      assert.equal(items.length, 1, String(length));
    } finally {
      await run("lxc-stop", ["-P", lxcPath, "-n", "web", "-k"]);
    }
    await at.ok("rm", "web");
  }
  const refused = await at.delta0(["create", "base", "web", "-P", deep(2200), "--json"]);
  assert.deepEqual([refused.code, failureOf(refused)["code"]], [6, "REFUSED"]);
});

test("places: without LXC all works but what starts, stops and looks into containers", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const bare = `${at.path}/bin`;
  mkdirSync(bare);
  for (const program of ["sh", "env", "mount", "flock"])
    symlinkSync((await run("which", [program])).trim(), `${bare}/${program}`);
  const options: CliOptions = { env: { PATH: bare } };
  const call = (...args: string[]): Promise<CliResult> => at.delta0(args, options);
  for (const args of [
    ["create", "base", "web", "-P", at.lxcPath],
    ["clone", "web", "twin", "-P", at.lxcPath],
    ["create", "base", "stored"],
    ["snapshot", "web"],
    ["lxc", "config", "web"],
    ["lxc", "repair", "web"],
    ["lxc", "hooks", "install"],
    ["ls"],
    ["show", "web"],
    ["cat", "web:/bin/busybox"],
    ["rename", "twin", "other"],
    ["rm", "other", "stored"],
    ["doctor"],
  ])
    assert.equal((await call(...args)).code, 0, args.join(" "));
  for (const [args, code] of [
    [["start", "web"], 69],
    [["lxc", "template", "install"], 69],
    [["run", "-P", at.lxcPath, "base", "--", "true"], 125],
  ] as const) {
    const failed = await call(...args, ...(args[0] === "run" ? [] : ["--json"]));
    assert.equal(failed.code, code, args.join(" "));
  }
});

test("places: a full disk under the LXC path or the store changes nothing, and captures are made up for", async (t) => {
  if (!requireLxc(t) || !requireLoop(t, "ext4") || !requireCommands(t, "busybox")) return;
  await using at = await host();
  await using small = await loopFilesystem("ext4", 64);
  const fill = (directory: string): void => {
    for (const size of [1_000_000, 4096, 1])
      try {
        for (;;) appendFileSync(`${directory}/ballast`, Buffer.alloc(size, 1));
      } catch (error) {
        if (errnoOf(error) !== "ENOSPC") throw error;
      }
  };
  const lxcPath = `${small.path}/lxc`;
  mkdirSync(lxcPath);
  await at.delta0(["create", "base", "web", "-P", lxcPath, ...SLEEP]);
  fill(small.path);
  for (const args of [
    ["create", "base", "more", "-P", lxcPath],
    ["clone", "web", "more", "-P", lxcPath],
  ]) {
    const full = await at.delta0([...args, "--json"]);
    assert.deepEqual([full.code, failureOf(full)["code"]], [28, "NO_SPACE"], args.join(" "));
    assert.deepEqual(readdirSync(lxcPath), ["web"]);
    assert.equal((await at.delta0(["show", "more"])).code, 4);
  }
  rmSync(`${small.path}/ballast`);
  await at.ok("rm", "web");

  const delta0 = (...args: string[]): Promise<CliResult> => at.delta0(["--store", `${small.path}/store`, ...args]);
  assert.equal((await delta0("import", `${at.path}/rootfs`, "base")).code, 0);
  assert.equal((await delta0("create", "base", "web", "-P", at.lxcPath, ...SLEEP)).code, 0);
  await writes(at.lxcPath, "web", "one");
  fill(small.path);
  await writes(at.lxcPath, "web", "two");
  assert.match((await delta0("ls")).stdout, /^web +stopped\*/m);
  assert.equal((await delta0("capture", "web")).code, 28);
  rmSync(`${small.path}/ballast`);
  assert.equal((await delta0("cat", "web:/root/file")).stdout, "two\n");
});

test("places: who is not root is told so, and nothing was changed", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "setpriv")) return;
  await using at = await host();
  await at.ok("create", "base", "web", ...SLEEP);
  chmodSync(at.path, 0o755);
  const nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups --";
  writeFileSync(`${at.path}/call`, `#!/bin/sh\nexec ${nobody} ${DELTA0_WORDS} "$@"\n`);
  chmodSync(`${at.path}/call`, 0o755);
  for (const args of ["ls", "start web", "lxc repair web", "lxc hooks remove"]) {
    const denied = await at.shell(`${at.path}/call --json ${args}`);
    assert.equal(denied.code, 13, `${args}: ${denied.stderr}`);
    assert.equal(failureOf(denied)["code"], "NOT_PERMITTED");
  }
});
