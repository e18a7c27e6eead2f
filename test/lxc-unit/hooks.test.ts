import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { claimContainer } from "../../src/lxc/claim.ts";
import { hooksFile, writeHooks } from "../../src/lxc/hooks.ts";
import { tryLock } from "../../src/sys/lock.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const KEY = "0123456789abcdef".repeat(4);

/** A store with hooks, a delta0 that writes down how it was called, and a container that is ready to start. */
async function host(name = 'st o\'re $x "y" `z`') {
  const temporary = await temporaryDirectory();
  const directory = `${temporary.path}/${name}`;
  const paths = {
    directory,
    exports: `${directory}/exports`,
    privateExports: `${directory}/private`,
    mapped: `${directory}/mapped`,
    privateMapped: `${directory}/private-mapped`,
    lxc: `${directory}/lxc`,
    mountLock: `${directory}/lxc/mount.lock`,
  };
  const lower = `${paths.exports}/${KEY}`;
  const container = `${temporary.path}/lxc path/web`;
  const upper = `${container}/delta0`;
  for (const path of [lower, upper]) mkdirSync(path, { recursive: true });
  writeFileSync(`${container}/config`, `lxc.rootfs.path = overlay:${lower}:${upper}\n`);
  const program = `${temporary.path}/del ta'0`;
  const log = `${temporary.path}/calls`;
  const delta0 = (does = "") => {
    const lines = [`{ echo "$0 $*"; env | grep ^LXC_ | sort; } >>"${log}"`, does];
    writeFileSync(program, `#!/bin/sh\n${lines.join("\n")}\n`);
    chmodSync(program, 0o755);
  };
  delta0();
  writeHooks(paths, [program, "an argument"]);
  const run = (hook: "pre-start" | "post-stop", environment: Record<string, string> = {}) =>
    spawnSync(`${paths.lxc}/${hook}`, ["web", "lxc", hook], {
      cwd: "/",
      env: {
        PATH: "/nowhere",
        LXC_NAME: "web",
        LXC_CONFIG_FILE: `${container}/config`,
        LXC_ROOTFS_PATH: `${lower}:${upper}`,
        ...environment,
      },
      encoding: "utf8",
    });
  const calls = () => (existsSync(log) ? readFileSync(log, "utf8") : "");
  const said = () => (existsSync(`${container}/delta0.log`) ? readFileSync(`${container}/delta0.log`, "utf8") : "");
  const dispose = () => temporary[Symbol.asyncDispose]();
  return { paths, lower, upper, container, program, delta0, run, calls, said, [Symbol.asyncDispose]: dispose };
}

test("hooks: no delta0 is started where there is nothing to do", async () => {
  await using at = await host();
  for (const prefix of ["", "overlay:", "overlayfs:"]) {
    assert.equal(at.run("pre-start", { LXC_ROOTFS_PATH: `${prefix}${at.lower}:${at.upper}` }).status, 0);
  }
  assert.equal(at.run("post-stop", { LXC_TARGET: "stop" }).status, 0);
  mkdirSync(`${at.container}/work`);
  assert.equal(at.run("pre-start").status, 0);
  assert.equal(at.run("post-stop", { LXC_TARGET: "reboot" }).status, 0);
  assert.deepEqual([at.calls(), at.said()], ["", ""]);
});

test("hooks: roots that are none of the store's are left alone, even where they are missing", async () => {
  await using at = await host();
  writeFileSync(`${at.container}/pending`, "1\n");
  mkdirSync(`${at.container}/work`);
  for (const path of [
    "",
    "/some/rootfs",
    "zfs:pool/web",
    `/some/lower:${at.upper}`,
    `${at.paths.exports}/short:${at.upper}`,
    `${at.paths.exports}/${"g".repeat(64)}:${at.upper}`,
    `${at.lower}:${at.lower}:${at.upper}`,
    `/other:${at.lower}:${at.upper}`,
    `${at.lower}/sub:${at.upper}`,
  ]) {
    for (const hook of ["pre-start", "post-stop"] as const) {
      const { status, stderr } = at.run(hook, { LXC_ROOTFS_PATH: path });
      assert.deepEqual([path, status, stderr], [path, 0, ""]);
    }
  }
  assert.deepEqual([at.calls(), at.said()], ["", ""]);
});

test("hooks: what is to be done is delta0's, and it gets LXC's environment", async () => {
  await using at = await host();
  writeFileSync(`${at.container}/pending`, "1\n");
  assert.equal(at.run("pre-start").status, 0);
  mkdirSync(`${at.container}/work`);
  assert.equal(at.run("post-stop", { LXC_TARGET: "stop" }).status, 0);
  const environment = [
    `LXC_CONFIG_FILE=${at.container}/config`,
    "LXC_NAME=web",
    `LXC_ROOTFS_PATH=${at.lower}:${at.upper}`,
  ];
  const call = (hook: string) => `${at.program} an argument --quiet --store ${at.paths.directory} lxc hook ${hook}`;
  assert.deepEqual(at.calls().trimEnd().split("\n"), [
    call("pre-start"),
    ...environment,
    call("post-stop"),
    ...environment,
    "LXC_TARGET=stop",
  ]);
  assert.equal(at.said(), "");
});

test("hooks: each thing that is missing starts delta0", async () => {
  await using at = await host();
  const calls = () => at.calls().split("lxc hook").length - 1;
  rmSync(at.upper, { recursive: true });
  at.run("pre-start");
  assert.equal(calls(), 1);
  mkdirSync(at.upper);
  rmSync(at.lower, { recursive: true });
  at.run("pre-start");
  assert.equal(calls(), 2);
  mkdirSync(at.lower);
  mkdirSync(`${at.container}/capturing`);
  at.run("post-stop");
  assert.equal(calls(), 3);
});

test("hooks: an upper that a snapshot moved is judged by what is beside it and beside the config", async () => {
  await using at = await host();
  const moved = { LXC_ROOTFS_PATH: `${at.lower}:${at.container}/overlay/delta` };
  mkdirSync(`${at.container}/overlay/delta`, { recursive: true });
  writeFileSync(`${at.container}/config`, `lxc.rootfs.path = overlay:${moved.LXC_ROOTFS_PATH}\n`);
  at.run("pre-start", moved);
  at.run("post-stop", moved);
  assert.equal(at.calls(), "");
  mkdirSync(`${at.container}/overlay/work`);
  at.run("post-stop", moved);
  assert.match(at.calls(), /post-stop/);
  // A config that was given with lxc-start -f lies elsewhere.
  writeFileSync(`${at.container}/pending`, "1\n");
  at.run("pre-start", { LXC_CONFIG_FILE: "/elsewhere/config" });
  assert.match(at.calls(), /pre-start/);
});

for (const [how, does] of [
  ["fails", "echo what happened >&2; echo and more; exit 7"],
  ["is gone", undefined],
] as const) {
  test(`hooks: where delta0 ${how}, a container starts with what is right, and not where upper or lower is not`, async () => {
    await using at = await host();
    if (does === undefined) rmSync(at.program);
    else at.delta0(does);
    writeFileSync(`${at.container}/config`, "lxc.rootfs.path = overlay:/another:/upper\n");
    assert.equal(at.run("pre-start").status, 0);
    assert.equal(at.said().split("\n").length, 2);
    assert.match(at.said(), /^[0-9-]{10}T[0-9:]{8}Z pre-start: /);
    if (does !== undefined) assert.match(at.said(), /what happened and more/);

    writeFileSync(`${at.container}/pending`, "1\n");
    assert.equal(at.run("pre-start").status, 1);
    rmSync(`${at.container}/pending`);
    rmSync(at.upper, { recursive: true });
    assert.equal(at.run("pre-start").status, 1);
    mkdirSync(at.upper);
    rmSync(at.lower, { recursive: true });
    assert.equal(at.run("pre-start").status, 1);
    assert.equal(at.said().split("\n").length, 5);

    mkdirSync(`${at.container}/work`);
    assert.equal(at.run("post-stop").status, 0);
    assert.equal(at.said().split("\n").length, 6);
  });
}

test("hooks: they are written again only where they differ", async () => {
  await using at = await host();
  const files = [hooksFile(at.paths), `${at.paths.lxc}/pre-start`, `${at.paths.lxc}/post-stop`];
  const before = files.map((file) => statSync(file).ino);
  chmodSync(files[1]!, 0o644);
  const command = [at.program, "an argument"];
  assert.deepEqual(writeHooks(at.paths, command, { dryRun: true }), ["pre-start"]);
  assert.equal(statSync(files[1]!).mode & 0o777, 0o644);
  assert.deepEqual(writeHooks(at.paths, command), ["pre-start"]);
  assert.equal(statSync(files[1]!).mode & 0o777, 0o755);
  assert.deepEqual(writeHooks(at.paths, command), []);
  assert.deepEqual(writeHooks(at.paths, ["/elsewhere/node", "/elsewhere/main.js"]), ["pre-start", "post-stop"]);
  assert.equal(statSync(files[0]!).ino, before[0]);
  assert.match(readFileSync(files[2]!, "utf8"), /'\/elsewhere\/node' '\/elsewhere\/main.js' '--quiet' '--store'/);
});

test("hooks: a store whose path no config can hold is refused", async () => {
  await using temporary = await temporaryDirectory();
  const directory = `${temporary.path}/a\nb`;
  const paths = {
    directory,
    exports: `${directory}/e`,
    privateExports: `${directory}/p`,
    mapped: `${directory}/m`,
    privateMapped: `${directory}/q`,
    lxc: `${directory}/lxc`,
    mountLock: `${directory}/l`,
  };
  assert.throws(() => writeHooks(paths, ["/delta0"]), { code: "REFUSED" });
});

test("hooks: post-stop leaves a capture to whoever has claimed the container, or after a while to the next command", async () => {
  await using at = await host();
  mkdirSync(`${at.container}/work`);
  const claim = claimContainer(at.container);
  assert.equal(at.run("post-stop").status, 0);
  assert.equal(at.calls(), "");
  claim?.[Symbol.dispose]();
  // As while that of another container is at work.
  const turn = tryLock(`${at.paths.lxc}/post-stop.lock`);
  assert.equal(at.run("post-stop").status, 0);
  assert.equal(at.calls(), "");
  turn?.[Symbol.dispose]();
  assert.equal(at.run("post-stop").status, 0);
  assert.match(at.calls(), /post-stop/);
});
