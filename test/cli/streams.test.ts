import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { cliStore, DELTA0, documentOf, smallTree } from "../support/cli.ts";
import type { CliStore } from "../support/cli.ts";

test("cli: a tar goes out on standard output and comes back in on standard input as the same tree", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  const { digest } = documentOf(await cli.delta0(["import", "tree", "base", "--json"]));
  const piped = await cli.shell(
    "set -o pipefail; $DELTA0 export base - -q --wait 0 >out.tar && $DELTA0 import - copy --json <out.tar",
  );
  assert.equal(piped.code, 0, piped.stderr);
  assert.equal(documentOf(piped)["digest"], digest);
  const zipped = await cli.shell("gzip -c out.tar | $DELTA0 create - web --no-lxc --json");
  assert.equal(documentOf(zipped)["digest"], digest);
});

test("cli: where standard output has the tar, the answer about it is on standard error", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  await cli.delta0(["import", "tree", "base"]);
  const result = await cli.shell("$DELTA0 export base - --json >out.tar");
  assert.equal((JSON.parse(result.stderr) as Record<string, unknown>)["schema"], "delta0/export@1");
  assert.equal((await cli.shell("tar tf out.tar | grep -c .")).code, 0);
  const cat = await cli.shell("$DELTA0 cat base:/etc/hosts --json >out");
  assert.equal(await readFile(`${cli.path}/out`, "utf8"), "127.0.0.1 localhost\n");
  assert.equal((JSON.parse(cat.stderr) as Record<string, unknown>)["schema"], "delta0/cat@1");
});

test("cli: whoever stops reading early ends the command quietly", async () => {
  await using cli = await cliStore();
  await largeTree(cli);
  await cli.delta0(["import", "large", "base"]);
  for (const command of ["export base -", "cat base:/random", "ls -1", "help", "completion bash"]) {
    const result = await cli.shell(
      `$DELTA0 ${command} -q | head -c 0; echo \${PIPESTATUS[0]}`.replace("help -q", "help"),
    );
    assert.equal(result.stderr, "", command);
    assert.match(result.stdout, /^(0|141)\n$/, command);
  }
  const result = await cli.shell("$DELTA0 export base - | head -c 10 | wc -c; echo ${PIPESTATUS[0]}");
  assert.equal(result.stdout, "10\n141\n");
  assert.equal(result.stderr, "");
});

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`cli: ${signal} ends an import with ${code} and leaves the store as it was`, async () => {
    await using cli = await cliStore();
    await largeTree(cli);
    await smallTree(`${cli.path}/tree`);
    await cli.delta0(["import", "tree", "base"]);
    const importing = start(cli, ["import", "large", "large", "--ndjson"]);
    await once(importing.stdout!, "data");
    importing.kill(signal);
    assert.equal(await exitOf(importing), code);
    assert.equal((await cli.delta0(["ls", "-1"])).stdout, "base\n");
    assert.equal((await cli.delta0(["import", "large", "large"])).code, 0);
  });
}

test("cli: an import that waits for its input can be interrupted", async () => {
  await using cli = await cliStore();
  const importing = start(cli, ["import", "-", "base"]);
  await untilOwned(cli);
  importing.kill("SIGINT");
  assert.equal(await exitOf(importing), 130);
  assert.equal((await cli.delta0(["ls", "-1"])).stdout, "");
});

test("cli: an export that nobody takes can be ended", async () => {
  await using cli = await cliStore();
  await largeTree(cli);
  await cli.delta0(["import", "large", "base"]);
  const exporting = start(cli, ["export", "base", "-"]);
  await once(exporting.stdout!, "readable");
  const killer = setTimeout(() => exporting.kill("SIGKILL"), 10_000);
  exporting.kill("SIGTERM");
  assert.equal(await exitOf(exporting), 143);
  clearTimeout(killer);
});

test("cli: an interrupted export leaves nothing behind", async () => {
  await using cli = await cliStore();
  await largeTree(cli);
  await cli.delta0(["import", "large", "base"]);
  await mkdir(`${cli.path}/outside`);
  for (const target of ["outside/tree", "outside/file.tar"]) {
    const exporting = start(cli, ["export", "base", target, "--as-user", "--ndjson"]);
    await once(exporting.stdout!, "data");
    exporting.kill("SIGINT");
    // It may have been done before the signal came.
    if ((await exitOf(exporting)) === 130) assert.deepEqual(await readdir(`${cli.path}/outside`), []);
    else await cli.shell("rm -rf outside/*");
  }
});

async function largeTree(cli: CliStore): Promise<void> {
  const made = await cli.shell("mkdir large && head -c 100000000 /dev/urandom >large/random");
  assert.equal(made.code, 0, made.stderr);
}

function start(cli: CliStore, args: readonly string[]): ChildProcess {
  return spawn(DELTA0[0] ?? "", [...DELTA0.slice(1), ...args], {
    cwd: cli.path,
    env: { ...process.env, DELTA0_STORE: cli.store },
    stdio: ["pipe", "pipe", "ignore"],
  });
}

async function exitOf(child: ChildProcess): Promise<number> {
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  return code ?? (signal === "SIGTERM" ? 143 : signal === "SIGINT" ? 130 : -1);
}

async function untilOwned(cli: CliStore): Promise<void> {
  while ((await readFile(`${cli.store}/owner.json`, "utf8").catch(() => "")) === "")
    await new Promise((resolve) => setTimeout(resolve, 50));
}
