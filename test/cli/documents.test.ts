import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { cliStore, documentOf, failureOf, smallTree } from "../support/cli.ts";

const DIGEST = /^blake3:[0-9a-f]{64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/;

test("cli: with --json each verb gives one document with its schema, and nothing else", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  await mkdir(`${cli.path}/delta`);
  for (const [verb, ...args] of [
    ["init"],
    ["import", "tree", "base"],
    ["create", "base", "web", "--no-lxc"],
    ["clone", "web", "web2", "--no-lxc"],
    ["ls"],
    ["show", "web"],
    ["info"],
    ["status", "web"],
    ["capture", "web", "--from", "delta", "--userxattr"],
    ["commit", "web", "layer"],
    ["tag", "web", "tagged"],
    ["rename", "tagged", "renamed"],
    ["export", "base", "out.tar"],
    ["exports"],
    ["unexport"],
    ["config"],
    ["doctor"],
    ["rm", "renamed"],
  ] as const) {
    const result = await cli.delta0([verb, ...args, "--json"]);
    assert.equal(documentOf(result)["schema"], `delta0/${verb}@1`, `${verb}: ${result.stderr}`);
    assert.equal(result.stderr, "", verb);
    // Each is one line, so that documents of several calls can be told apart.
    assert.equal(result.stdout.trimEnd().includes("\n"), false, verb);
  }
});

test("cli: documents have digests with their kind, sizes as numbers, times to the ns", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  const imported = documentOf(await cli.delta0(["import", "tree", "base", "--json"]));
  assert.match(String(imported["digest"]), DIGEST);
  for (const field of ["entries", "bytes", "newBytes", "newChunks"])
    assert.equal(typeof imported[field], "number", field);
  const created = documentOf(await cli.delta0(["create", "base", "web", "--no-lxc", "--label", "a=b", "--json"]));
  assert.equal(created["digest"], imported["digest"]);

  const items = documentOf(await cli.delta0(["ls", "--json"]))["items"] as Record<string, unknown>[];
  assert.deepEqual(
    items.map(({ name, type, state, parent, exclusiveBytes }) => [name, type, state, parent, exclusiveBytes]),
    [
      ["web", "container", "stored", "base", null],
      ["base", "layer", "layer", null, null],
    ],
  );
  for (const item of items) {
    assert.equal(item["digest"], imported["digest"]);
    assert.match(String(item["created"]), TIME);
    assert.equal(item["files"], 5);
    assert.equal(typeof item["sizeBytes"], "number");
  }
  assert.deepEqual(items[0]?.["labels"], { a: "b" });

  const ofName = documentOf(await cli.delta0(["show", "base", "--json"]));
  const ofDigest = documentOf(await cli.delta0(["show", String(imported["digest"]).slice(0, 20), "--json"]));
  assert.equal(ofDigest["digest"], ofName["digest"]);
  assert.equal(ofDigest["type"], "tree");
});

test("cli: names that are not UTF-8 stand in base64 in status, and escaped for people", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  const name = Buffer.from("b\xff\x1b[31mred", "latin1");
  await mkdir(`${cli.path}/delta`);
  await writeFile(Buffer.concat([Buffer.from(`${cli.path}/delta/`), name]), "x");
  await cli.delta0(["import", "tree", "base"]);
  await cli.delta0(["create", "base", "web", "--no-lxc"]);
  await cli.delta0(["capture", "web", "--from", "delta", "--userxattr"]);

  const status = await cli.delta0(["status", "web", "--json"]);
  assert.equal(status.code, 1);
  const changes = documentOf(status)["changes"] as Record<string, unknown>[];
  const change = changes.find(({ kind }) => kind === "added");
  assert.equal(change?.["pathBase64"], name.toString("base64"));
  assert.equal(change["before"], null);
  assert.match(String((change["after"] as Record<string, unknown>)["content"]), DIGEST);

  const shown = await cli.delta0(["status", "web"]);
  assert.match(shown.stdout, /\\x1b\[31mred/);
  assert.equal(shown.stdout.includes("\x1b"), false);
});

test("cli: --ndjson ends with a summary or with an error, each line a document", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  const lines = (text: string): Record<string, unknown>[] =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const done = await cli.delta0(["import", "tree", "base", "--ndjson"]);
  assert.equal(done.code, 0, done.stderr);
  const summary = lines(done.stdout);
  assert.equal(summary.at(-1)?.["type"], "summary");
  assert.equal(summary.at(-1)?.["schema"], "delta0/import@1");
  for (const line of summary.slice(0, -1)) assert.equal(line["type"], "progress");

  const failed = await cli.delta0(["import", "tree", "base", "--ndjson"]);
  assert.equal(failed.code, 5);
  assert.equal(lines(failed.stdout).at(-1)?.["type"], "error");
  assert.equal(lines(failed.stdout).at(-1)?.["code"], "EXISTS");
});

test("cli: a failure with --json is a document on the last line of standard error", async () => {
  await using cli = await cliStore();
  await cli.delta0(["init"]);
  for (const [args, code, exit] of [
    [["show", "nothing", "--json"], "NOT_FOUND", 4],
    [["--json", "show", "nothing"], "NOT_FOUND", 4],
    [["shw", "--json"], "USAGE", 2],
    [["ls", "--json", "--nonsense"], "USAGE", 2],
  ] as const) {
    const result = await cli.delta0(args);
    assert.equal(result.code, exit, args.join(" "));
    assert.equal(result.stdout, "");
    const failure = failureOf(result);
    assert.equal(failure["schema"], "delta0/error@1");
    assert.equal(failure["code"], code);
    assert.equal(failure["exit"], exit);
    assert.equal(typeof failure["message"], "string");
  }
});
