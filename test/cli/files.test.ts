import assert from "node:assert/strict";
import { mkdir, readFile, readlink } from "node:fs/promises";
import { test } from "node:test";
import { cliStore, documentOf, failureOf, smallTree } from "../support/cli.ts";

test("cli: files of a ref are looked at and copied out", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  assert.equal((await cli.delta0(["import", "tree", "base"])).code, 0);

  const found = await cli.delta0(["find", "base"]);
  assert.equal(found.stdout, "/\n/etc\n/etc/hosts\n/etc/link\n/srv\n/srv/page\n");
  assert.equal((await cli.delta0(["find", "base:/etc", "--name", "h*", "--type", "f"])).stdout, "/etc/hosts\n");
  assert.equal((await cli.delta0(["find", "base", "--type", "x"])).code, 2);
  assert.equal((await cli.delta0(["find", "base:/none"])).code, 4);
  assert.deepEqual(documentOf(await cli.delta0(["find", "base", "--type", "l", "--json"])), {
    schema: "delta0/find@1",
    items: [{ path: "/etc/link", type: "symlink" }],
  });

  const stat = await cli.delta0(["stat", "base:/srv/page", "base:/etc/link"]);
  assert.match(stat.stdout, /^file +base:\/srv\/page\nmode +0\d{3}\n(.*\n)*size +4\.9 KiB \(5000 B\)\n/);
  assert.match(stat.stdout, /\n\nsymlink +base:\/etc\/link\n(.*\n)*leads to +hosts\n/);
  const document = documentOf(await cli.delta0(["stat", "-L", "base:/etc/link", "--json"]));
  assert.equal(document["schema"], "delta0/stat@1");
  const [item] = document["items"] as Record<string, unknown>[];
  assert.deepEqual([item?.["path"], item?.["type"], item?.["sizeBytes"]], ["/etc/hosts", "file", 20]);
  assert.match(String(item?.["content"]), /^blake3:[0-9a-f]{64}$/);

  await mkdir(`${cli.path}/out`);
  const got = await cli.delta0(["get", "base:/etc", "base:/srv/page", "out"]);
  assert.equal(got.code, 0, got.stderr);
  assert.match(got.stdout, /out: 4 entries, /);
  assert.equal(await readlink(`${cli.path}/out/etc/link`), "hosts");
  assert.equal((await readFile(`${cli.path}/out/page`)).length, 5000);
  const again = await cli.delta0(["get", "base:/etc", "out", "--json"]);
  assert.equal(again.code, 5);
  assert.equal(failureOf(again)["code"], "EXISTS");
  assert.equal((await cli.delta0(["get", "out"])).code, 2);
});
