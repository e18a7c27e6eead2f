import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PosixError } from "../../src/errors.ts";
import { Store } from "../../src/index.ts";
import { failureOf as describeFailure } from "../../src/cli/failure.ts";
import { cliStore, DEVICE_TAR_PY, smallTree } from "../support/cli.ts";
import type { CliStore } from "../support/cli.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireCommands, requireLoop } from "../support/requirements.ts";
import { hasCommand, isRoot } from "../support/run.ts";

test("cli: a mistake is answered in one line on standard error, with what was perhaps meant", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  await cli.delta0(["import", "tree", "base"]);
  await cli.delta0(["create", "base", "web", "--no-lxc"]);
  for (const [args, code, line] of [
    [["show", "wbe"], 4, /^delta0: no layer or container "wbe"; did you mean "web"\?\n$/],
    [["import", "tree", "web"], 5, /^delta0: "web" exists \(container, \d+ \w+ old\): choose another name\n$/],
    [
      ["import", "tree", "base"],
      5,
      /^delta0: "base" exists \(layer, \d+ \w+ old\): choose another name, or --replace\n$/,
    ],
    [["imprt", "tree", "x"], 2, /^delta0: .*'imprt'.*did you mean import\?\n$/],
    [["import", "--parnt", "x"], 2, /^delta0: .*'--parnt'.*did you mean --parent\?\n$/],
    [["import", "tree"], 2, /^delta0: .*NAME.*\n$/],
    [["status", "web", "more"], 2, /^delta0: .*"more".*\n$/],
    [["import", "tree", "-not-a-name-"], 2, /^delta0: .*\n$/],
    [["import", "tree", "a/b"], 2, /^delta0: "a\/b" cannot be a name.*\n$/],
    [["import", "nowhere", "x"], 4, /^delta0: .*nowhere.*\n$/],
    [["status", "base"], 2, /^delta0: "base" is a layer.*\n$/],
    [["cat", "base:/nowhere"], 4, /^delta0: base:\/nowhere.*\n$/],
    [["ls", "--wait", "soon"], 2, /^delta0: .*soon.*\n$/],
    [["ls", "--sort", "colour"], 2, /^delta0: .*colour.*\n$/],
    [["clone", "base", "x", "--label", "novalue"], 2, /^delta0: "novalue" is no label.*\n$/],
    [["clone", "base", "--count", "2"], 2, /^delta0: .*--prefix.*\n$/],
    [["export", "base", "whole.tar.gz"], 69, /^delta0: .*\n$/],
    [["export", "base", "whole.tar", "--verify"], 2, /^delta0: a tar is not read back.*\n$/],
    [["export", "--for-start", "base", "--no-sync"], 2, /^delta0: what containers stand on is always synced.*\n$/],
  ] as const) {
    const result = await cli.delta0(args);
    assert.equal(result.code, code, `${args.join(" ")}: ${result.stderr}`);
    assert.match(result.stderr, line);
    assert.equal(result.stdout, "");
  }
});

test("cli: where there is no store only what brings in a first thing makes one", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  for (const args of [["ls"], ["clone", "a", "b"], ["export", "a", "b"], ["status", "a"], ["config"]]) {
    const result = await cli.delta0(args);
    assert.equal(result.code, 10, args.join(" "));
  }
  assert.equal((await cli.delta0(["create", "tree", "web", "--no-lxc"])).code, 0);
  assert.equal((await cli.delta0(["ls", "-1"])).stdout, "web\n");
});

test("cli: a store in use is waited for as long as asked, then named with who has it", async () => {
  await using cli = await cliStore();
  await using holder = await holdStore(cli);
  const began = performance.now();
  const result = await cli.delta0(["ls", "--wait", "0"]);
  assert.equal(result.code, 11);
  assert.match(result.stderr, new RegExp(`^delta0: store in use by pid ${process.pid} \\("a long one"\\) for \\d+ s`));
  assert.ok(performance.now() - began < 5000);
  assert.equal((await cli.delta0(["doctor"])).code, 0, "doctor needs no store");

  const waiting = cli.delta0(["ls", "--wait", "20"]);
  await sleep(1500);
  await holder.end();
  assert.equal((await waiting).code, 0);
});

test("cli: a post-stop hook waits for five seconds at most, and says what it could not do", async () => {
  await using cli = await cliStore();
  await using _holder = await holdStore(cli);
  const env = { LXC_CONFIG_FILE: `${cli.path}/web/config`, LXC_ROOTFS_PATH: "/nowhere" };
  const began = performance.now();
  const result = await cli.delta0(["lxc", "hook", "post-stop"], { env });
  assert.equal(result.code, 11);
  assert.match(result.stderr, /^delta0: store in use/m);
  assert.ok(performance.now() - began < 10_000);
});

test("cli: damage and dangers have their exit codes", async () => {
  await using cli = await cliStore();
  await mkdir(`${cli.path}/full/of-things`, { recursive: true });
  assert.equal((await cli.delta0(["init", "full"])).code, 6);

  await smallTree(`${cli.path}/tree`);
  await cli.delta0(["import", "tree", "base"]);
  const tar = `${cli.path}/whole.tar`;
  assert.equal((await cli.delta0(["export", "base", tar])).code, 0);
  const bytes = await readFile(tar);
  await writeFile(`${cli.path}/cut.tar`, bytes.subarray(0, bytes.length / 2 - 100));
  assert.equal((await cli.delta0(["import", "cut.tar", "cut"])).code, 12);
  assert.equal((await cli.delta0(["ls", "-1"])).stdout, "base\n");

  await writeFile(`${cli.store}/format`, "delta0 store\nformat 99\n");
  assert.equal((await cli.delta0(["ls"])).code, 7);
});

test("cli: what could not be kept is counted by kind with examples; asked for, it is one line", async (t) => {
  if (isRoot() && !hasCommand("setpriv")) return t.skip("setpriv is not installed");
  await using cli = await cliStore();
  // Root may make devices: that right is taken away.
  const less = isRoot() ? "setpriv --bounding-set=-mknod " : "";
  const imported = await cli.shell(`python3 -c "$DEVICE_TAR_PY" | $DELTA0 import - base`, {
    env: { DEVICE_TAR_PY },
  });
  assert.equal(imported.code, 0, imported.stderr);
  const lossy = await cli.shell(`${less}$DELTA0 export base out`);
  assert.equal(lossy.code, 3, lossy.stderr);
  assert.match(lossy.stderr, /device.*12/);
  const lossyDocument = await cli.shell(`${less}$DELTA0 export base out1 --json`);
  assert.equal(lossyDocument.code, 3);
  const { losses } = JSON.parse(lossyDocument.stdout) as {
    losses: { kind: string; count: number; examples: string[] }[];
  };
  const devices = losses.find(({ kind }) => kind === "device");
  assert.equal(devices?.count, 12);
  assert.equal(devices.examples.length, 10);
  const asUser = await cli.shell(`${less}$DELTA0 export base out2 --as-user`);
  assert.equal(asUser.code, 0, asUser.stderr);
  assert.match(asUser.stderr, /^delta0: .*device.*12.*\n$/);
});

test("cli: what one may not do ends with 13", async (t) => {
  if (!requireCommands(t, "setpriv")) return;
  await using cli = await cliStore();
  await cli.delta0(["init"]);
  const result = await cli.shell("setpriv --reuid=65534 --regid=65534 --clear-groups $DELTA0 ls");
  assert.equal(result.code, 13, result.stderr);
});

test("cli: a full filesystem ends with 28, and the store stays as it was", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 16);
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  const env = { DELTA0_STORE: `${small.path}/store` };
  assert.equal((await cli.delta0(["import", "tree", "base"], { env })).code, 0);
  await writeFile(`${small.path}/ballast`, Buffer.alloc(6_000_000, 1));
  await cli.shell("mkdir big && head -c 40000000 /dev/urandom >big/random");
  const full = await cli.delta0(["import", "big", "big"], { env });
  assert.equal(full.code, 28, full.stderr);
  // As the hint says. LevelDB itself needs room to open again.
  await rm(`${small.path}/ballast`);
  assert.equal((await cli.delta0(["ls", "-1"], { env })).stdout, "base\n");
});

test("cli: failures show stacks with -v alone", async () => {
  await using cli = await cliStore();
  assert.doesNotMatch((await cli.delta0(["ls"])).stderr, /^ +at /m);
  assert.match((await cli.delta0(["ls", "-v"])).stderr, /^ +at /m);
});

test("cli: system errors are told apart from bugs of ours", () => {
  const exits = (error: unknown): number => describeFailure(error).exit;
  assert.equal(exits(new PosixError("ENOSPC", "write", "/x")), 28);
  assert.equal(exits(new PosixError("EDQUOT", "write")), 28);
  assert.equal(exits(new PosixError("EACCES", "open", "/x")), 13);
  assert.equal(exits(new PosixError("EPERM", "mknod", "/x")), 13);
  assert.equal(exits(new TypeError("x is undefined")), 70);
  assert.equal(exits("no error at all"), 70);
});

/** A program that has the store for itself until `end` or its disposal: this one. */
async function holdStore(cli: CliStore): Promise<AsyncDisposable & { readonly end: () => Promise<void> }> {
  const store = await Store.open(cli.store, { create: true, command: "a long one" });
  const end = async (): Promise<void> => await store[Symbol.asyncDispose]();
  return { end, [Symbol.asyncDispose]: end };
}
