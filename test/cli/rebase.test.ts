import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { cliStore, documentOf, failureOf, smallTree } from "../support/cli.ts";

test("cli: rebase lists conflicts and exits 6, or settles them; squash tells sizes and who keeps what", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  await cli.delta0(["import", "tree", "base"]);
  await cli.delta0(["create", "base", "web", "--no-lxc"]);
  await writeFile(`${cli.path}/tree/etc/hosts`, "newer\n");
  await cli.delta0(["import", "tree", "newer", "--parent", "base"]);
  await writeFile(`${cli.path}/hosts`, "web\n");
  await cli.delta0(["put", "hosts", "web:/etc/hosts"]);
  await cli.delta0(["put", "hosts", "web:/etc/hostname"]);
  const before = (await cli.delta0(["ls", "--json"])).stdout;

  const refused = await cli.delta0(["rebase", "web", "--onto", "newer"]);
  assert.equal(refused.code, 6);
  assert.equal(refused.stdout, "C etc/hosts  (changed in both, content)\n");
  assert.match(
    refused.stderr,
    /^delta0: 1 conflict between web and newer; nothing was changed: .*--ours.*--theirs.*\n$/,
  );
  const quiet = await cli.delta0(["rebase", "web", "--onto", "newer", "-q"]);
  assert.equal(quiet.stdout, refused.stdout);
  const document = await cli.delta0(["rebase", "-n", "web", "--onto", "newer", "--json", "--dry-run"]);
  assert.equal(document.code, 6);
  assert.equal(failureOf(document)["exit"], 6);
  assert.equal(documentOf(document)["rebased"], false);
  const [conflict] = documentOf(document)["conflicts"] as Record<string, unknown>[];
  assert.equal(conflict?.["path"], "etc/hosts");
  assert.match(String((conflict["ours"] as Record<string, unknown>)["content"]), /^blake3:/);
  const dry = await cli.delta0(["rebase", "web", "--onto", "newer", "--ours", "--dry-run"]);
  assert.match(dry.stdout, /\nsettled as web has it\nweb would stand on newer\n$/);
  assert.equal((await cli.delta0(["ls", "--json"])).stdout, before);

  const settled = await cli.delta0(["rebase", "web", "--onto", "newer", "--ours"]);
  assert.equal(settled.code, 0, settled.stderr);
  assert.match(
    settled.stdout,
    /\nweb stands on newer now, with \d changes; what it was until now: blake3:[0-9a-f]{16}\n$/,
  );
  assert.equal((await cli.delta0(["cat", "web:/etc/hosts"])).stdout, "web\n");
  const again = await cli.delta0(["rebase", "web", "--onto", "newer"]);
  assert.equal(again.stdout, "web stands on newer already\n");
  assert.equal((await cli.delta0(["undo"])).code, 0);
  assert.equal((await cli.delta0(["ls", "--json"])).stdout, before);

  await cli.delta0(["tag", "newer", "last"]);
  const squashed = await cli.delta0(["squash", "last", "-m", "one"]);
  assert.equal(squashed.code, 0, squashed.stderr);
  assert.match(
    squashed.stdout,
    /^last: 2 layers are one; .+B -> .+B with what it was made from\nthe others .*: base, newer, web\n$/,
  );
  assert.equal(documentOf(await cli.delta0(["squash", "last", "--json"]))["layers"], 1);
  for (const args of [
    ["rebase", "web"],
    ["rebase", "web", "--onto", "newer", "--ours", "--theirs"],
    ["squash", "web"],
    ["squash", "last", "--onto", "last"],
  ])
    assert.equal((await cli.delta0(args)).code, 2, args.join(" "));
});
