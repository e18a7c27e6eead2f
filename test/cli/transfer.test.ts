import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { cliStore, documentOf, smallTree } from "../support/cli.ts";

test("cli: states go to another store through a pipe, increments too, and by copy, and are the same there", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  const base = documentOf(await cli.delta0(["import", "tree", "base", "--json"]));
  await writeFile(`${cli.path}/tree/etc/hosts`, "changed");
  const next = documentOf(await cli.delta0(["import", "tree", "next", "--parent", "base", "--json"]));
  await cli.delta0(["create", "next", "web", "--no-lxc"]);
  await cli.delta0(["snapshot", "web"]);

  const first = await cli.shell("set -o pipefail; $DELTA0 send base | $DELTA0 --store B receive - --json");
  assert.equal(first.code, 0, first.stderr);
  const [item] = documentOf(first)["received"] as Record<string, unknown>[];
  assert.deepEqual([item?.["name"], item?.["digest"], item?.["outcome"]], ["base", base["digest"], "new"]);

  const lost = await cli.shell("$DELTA0 send next --have base | $DELTA0 --store C receive");
  assert.equal(lost.code, 4);
  assert.match(lost.stderr, /builds on "base"/);
  const second = await cli.shell("set -o pipefail; $DELTA0 send next web --have base | $DELTA0 --store B receive");
  assert.equal(second.code, 0, second.stderr);
  const log = documentOf(await cli.delta0(["log", "next", "--store", "B", "--json"]));
  assert.deepEqual(
    (log["items"] as Record<string, unknown>[]).map(({ digest }) => digest),
    [next["digest"], base["digest"]],
  );

  const copied = documentOf(await cli.delta0(["copy", "--all", "--to", "D", "--json"]));
  assert.equal((copied["copied"] as unknown[]).length, 3);
  const again = await cli.delta0(["copy", "--all", "--to", "D"]);
  assert.match(again.stdout, /^web in .*: blake3:.* \(container with 1 snapshot, unchanged\)$/m);
  assert.match(again.stdout, /^0 B new in 0 chunks/m);
  const names = await cli.delta0(["ls", "-1", "--store", "D"]);
  assert.equal(names.stdout, "web\nbase\nnext\n");
  assert.equal((await cli.shell("$DELTA0 --store D cat web:/etc/hosts")).stdout, "changed");
});

test("cli: streams that are cut, and calls that cannot be, are answered with what to do", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  await cli.delta0(["import", "tree", "base"]);
  assert.equal((await cli.delta0(["send", "base", "--output", "base.stream"])).code, 0);
  const bytes = await readFile(`${cli.path}/base.stream`);
  const cut = await cli.delta0(["receive", "--store", "B"], { input: bytes.subarray(0, bytes.length - 40) });
  assert.equal(cut.code, 12);
  assert.match(cut.stderr, /standard input: ends at byte \d+, before it is complete; nothing was received/);
  assert.equal((await cli.delta0(["ls", "-1", "--store", "B"])).stdout, "");
  assert.equal((await cli.delta0(["receive", "base.stream", "--store", "B"])).code, 0);
  const taken = await cli.shell(
    "$DELTA0 import tree base --store B --replace -q; rm tree/etc/hosts; $DELTA0 import tree base --store B --replace -q; $DELTA0 receive base.stream --store B",
  );
  assert.equal(taken.code, 5);
  assert.match(taken.stderr, /--replace/);
  assert.equal((await cli.delta0(["receive", "base.stream", "--store", "B", "--replace"])).code, 0);
  for (const [args, code] of [
    [["send"], 2],
    [["copy", "base"], 2],
    [["copy", "base", "--to", "store"], 2],
    [["copy", "bsae", "--to", "B"], 4],
    [["send", "base", "--have", "bsae", "-o", "x"], 4],
    [["receive", "none"], 4],
    [["receive", "tree"], 12],
  ] as const)
    assert.equal((await cli.delta0(args)).code, code, args.join(" "));
});
