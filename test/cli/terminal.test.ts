import assert from "node:assert/strict";
import { test } from "node:test";
import { cliStore, smallTree } from "../support/cli.ts";
import type { CliResult, CliStore } from "../support/cli.ts";
import { hasCommand } from "../support/run.ts";

const SKIP = hasCommand("script") ? false : "script is not installed";
const COLOR = /\x1b\[[0-9;]*m/;
const BAR = /\r[^\r\n]*importing[^\r\n]*\x1b\[K/;

test("cli: on a terminal a bar shows progress, and is gone at the end", { skip: SKIP }, async () => {
  await using cli = await cliStore();
  await largeTree(cli);
  const shown = await onTerminal(cli, "$DELTA0 import large base");
  assert.equal(shown.code, 0, shown.stdout);
  assert.match(shown.stdout, BAR);
  assert.match(shown.stdout, /MiB\/s/);
  assert.match(shown.stdout, /\r\x1b\[K[^\r\n]*base: blake3:/);
  for (const flag of ["-q", "--json"]) {
    const quiet = await onTerminal(cli, `$DELTA0 import large base --replace ${flag}`);
    assert.equal(quiet.code, 0);
    assert.doesNotMatch(quiet.stdout, BAR, flag);
  }
});

test("cli: without a terminal there is no bar and no colour", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  const imported = await cli.delta0(["import", "tree", "base"]);
  assert.equal(imported.stderr, "");
  for (const args of [["ls"], ["doctor"], ["status", "base"], ["help"]]) {
    const { stdout, stderr } = await cli.delta0(args);
    assert.doesNotMatch(stdout + stderr, /\x1b/, args.join(" "));
  }
});

test("cli: colours are left out where they are not wanted", { skip: SKIP }, async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  await cli.delta0(["init"]);
  assert.match((await onTerminal(cli, "$DELTA0 doctor")).stdout, COLOR);
  for (const line of ["$DELTA0 doctor --no-color", "$DELTA0 --no-color doctor"])
    assert.doesNotMatch((await onTerminal(cli, line)).stdout, COLOR, line);
  assert.doesNotMatch((await onTerminal(cli, "$DELTA0 doctor", { NO_COLOR: "1" })).stdout, COLOR);
});

test("cli: no tar goes to a terminal or comes from one", { skip: SKIP }, async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  await cli.delta0(["import", "tree", "base"]);
  assert.equal((await onTerminal(cli, "$DELTA0 export base -")).code, 2);
  assert.equal((await onTerminal(cli, "$DELTA0 import - other")).code, 2);
});

test("cli: -q leaves what was asked for and nothing else", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  assert.deepEqual(await cli.delta0(["import", "tree", "base", "-q"]), { code: 0, stdout: "", stderr: "" });
  assert.deepEqual(await cli.delta0(["-q", "create", "base", "web", "--no-lxc"]), { code: 0, stdout: "", stderr: "" });
  assert.deepEqual(await cli.delta0(["ls", "-q", "-1"]), { code: 0, stdout: "web\nbase\n", stderr: "" });
  assert.deepEqual(await cli.delta0(["status", "-q", "web"]), { code: 0, stdout: "", stderr: "" });
});

/** `script` has $SHELL run the line: whichever that is on this host, it must be one and the same. */
async function onTerminal(cli: CliStore, line: string, env: NodeJS.ProcessEnv = {}): Promise<CliResult> {
  return await cli.shell(`script -qec '${line.replaceAll("$DELTA0", "eval $DELTA0")}' /dev/null`, {
    env: { TERM: "xterm", SHELL: "/bin/sh", ...env },
  });
}

async function largeTree(cli: CliStore): Promise<void> {
  await cli.shell("mkdir large && head -c 60000000 /dev/urandom >large/random");
}
