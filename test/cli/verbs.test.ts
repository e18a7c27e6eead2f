import assert from "node:assert/strict";
import { mkdir, readFile, readlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { cliStore, documentOf, failureOf, smallTree } from "../support/cli.ts";

test("cli: a tree goes in, is cloned, changed, looked at, committed, and comes out again", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);

  const imported = await cli.delta0(["import", "tree", "base", "-m", "as it came"]);
  assert.equal(imported.code, 0, imported.stderr);
  assert.match(imported.stdout, /^base: blake3:[0-9a-f]{16}\S*\s+5 entries, 4\.9 KiB; .* new in \d+ chunks?, /);

  const created = await cli.delta0(["create", "base", "web", "--no-lxc", "--label", "role=front"]);
  assert.equal(created.code, 0, created.stderr);
  const cloned = await cli.delta0(["clone", "-s", "web", "one", "two", "--no-lxc"]);
  assert.equal(cloned.code, 0, cloned.stderr);
  assert.match(cloned.stdout, /^one\ntwo\n$/);
  const many = await cli.delta0(["clone", "-n", "web", "--count", "3", "--prefix", "w", "--no-lxc", "--json"]);
  assert.deepEqual(documentOf(many)["names"], ["w1", "w2", "w3"]);

  await mkdir(`${cli.path}/delta`);
  await writeFile(`${cli.path}/delta/new`, "new");
  const captured = await cli.delta0(["capture", "-n", "web", "--from", "delta", "--userxattr"]);
  assert.equal(captured.code, 0, captured.stderr);
  const status = await cli.delta0(["status", "web"]);
  assert.equal(status.code, 1);
  assert.match(status.stdout, /^A new$/m);
  assert.equal((await cli.delta0(["status", "one"])).code, 0, "the clone does not notice");

  const committed = await cli.delta0(["commit", "web", "base2", "-m", "with new"]);
  assert.equal(committed.code, 0, committed.stderr);
  assert.equal((await cli.delta0(["status", "web"])).code, 0);

  const cat = await cli.delta0(["cat", "web:/new", "base:/etc/hosts"]);
  assert.equal(cat.stdout, "new127.0.0.1 localhost\n");

  const exported = await cli.delta0(["export", "base2", "out", "--as-user", "--verify"]);
  assert.equal(exported.code, 0, exported.stderr);
  assert.equal(await readFile(`${cli.path}/out/new`, "utf8"), "new");
  assert.equal(await readlink(`${cli.path}/out/etc/link`), "hosts");
});

test("cli: names are listed, tagged, moved and removed", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  await cli.delta0(["import", "tree", "base"]);
  await cli.delta0(["create", "base", "web", "--no-lxc", "--label", "role=front"]);

  const listed = await cli.delta0(["ls"]);
  assert.match(
    listed.stdout,
    /^NAME +STATE +BASE +SNAPS +CREATED\nweb +stored +base +0 +\d{4}-\d\d-\d\d \d\d:\d\d\nbase +/,
  );
  assert.match((await cli.delta0(["ls", "-l"])).stdout, /^NAME +STATE +BASE +SNAPS +FILES +SIZE +EXPIRES +CREATED\n/);
  assert.equal((await cli.delta0(["ls", "-1"])).stdout, "web\nbase\n");
  assert.equal((await cli.delta0(["ls", "-1", "--layers"])).stdout, "base\n");
  assert.equal((await cli.delta0(["ls", "-1", "--label", "role=back"])).stdout, "");
  assert.equal((await cli.delta0(["ls", "-1", "w*"])).stdout, "web\n");

  assert.equal((await cli.delta0(["tag", "web", "golden"])).code, 0);
  assert.equal((await cli.delta0(["rename", "web", "www"])).code, 0);
  assert.equal((await cli.delta0(["rename", "-n", "base", "old"])).code, 0);
  assert.equal((await cli.delta0(["ls", "-1"])).stdout, "www\ngolden\nold\n");
  assert.match((await cli.delta0(["show", "www"])).stdout, /^label +role=front$/m);
  const removed = await cli.delta0(["rm", "www", "old"]);
  assert.equal(removed.code, 0, removed.stderr);
  assert.equal((await cli.delta0(["ls", "-1"])).stdout, "golden\n");
  assert.equal((await cli.delta0(["cat", "golden:/etc/hosts"])).code, 0, "what it held lives on");
});

test("cli: a store is made, described and set", async () => {
  await using cli = await cliStore();
  assert.equal((await cli.delta0(["init"])).code, 0);
  const again = await cli.delta0(["init", cli.store, "--json"]);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(documentOf(again)["directory"], cli.store);

  const info = documentOf(await cli.delta0(["info", "--json"]));
  assert.equal(info["schema"], "delta0/info@1");
  assert.equal(info["layers"], 0);

  assert.equal((await cli.delta0(["config", "lxc.path", "here"])).code, 4);
  await mkdir(`${cli.path}/here`);
  assert.equal((await cli.delta0(["config", "lxc.path", "here"])).code, 0);
  assert.equal((await cli.delta0(["config", "lxc.path"])).stdout, `${cli.path}/here\n`);
  assert.match((await cli.delta0(["config"])).stdout, /^lxc\.path +\S+here/m);
  assert.equal((await cli.delta0(["config", "lxc.path", ""])).code, 0);
  assert.equal((await cli.delta0(["config", "lxc.path"])).stdout, "");

  const doctor = await cli.delta0(["doctor"]);
  assert.equal(doctor.code, 0, doctor.stderr);
  assert.match(doctor.stdout, /^(ok|missing) +\S/m);

  assert.equal((await cli.delta0(["exports"])).code, 0);
  assert.equal((await cli.delta0(["unexport"])).code, 0);
});

test("cli: containers get LXC directories where a path is named, and hooks that call this command", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  await mkdir(`${cli.path}/lxc`);
  const created = await cli.delta0(["create", "tree", "web", "-P", "lxc", "--set", "lxc.signal.stop=SIGINT"]);
  assert.equal(created.code, 0, created.stderr);
  const config = await readFile(`${cli.path}/lxc/web/config`, "utf8");
  assert.match(config, /^lxc\.signal\.stop = SIGINT$/m);
  assert.equal((await cli.delta0(["lxc", "hooks", "install"])).code, 0);
  assert.match(await readFile(`${cli.store}/lxc/post-stop`, "utf8"), /lxc.*hook.*post-stop/);
  const [, rootfs = ""] = /^lxc\.rootfs\.path = (.*)$/m.exec(config) ?? [];
  const env = { LXC_CONFIG_FILE: `${cli.path}/lxc/web/config`, LXC_ROOTFS_PATH: rootfs };
  for (const hook of ["pre-start", "post-stop"]) {
    const called = await cli.delta0(["lxc", "hook", hook], { env });
    assert.equal(called.code, 0, called.stderr);
    assert.equal(called.stdout, "");
    assert.ok(called.stderr.split("\n").length <= 2, "one line for the log of the container");
  }
});

test("cli: help and version are there without a store, and hide what is not for people", async () => {
  await using cli = await cliStore();
  assert.match((await cli.delta0(["--version"])).stdout, /^(delta0 )?\d+\.\d+\.\d+\n$/);
  const help = await cli.delta0(["help"]);
  assert.equal(help.code, 0);
  for (const verb of ["import", "clone", "status", "export"])
    assert.match(help.stdout, new RegExp(`^ +${verb}\\b`, "m"));
  assert.doesNotMatch(help.stdout, /^ +hook\b|pre-start/m);
  const verbHelp = await cli.delta0(["help", "import"]);
  assert.equal(verbHelp.code, 0);
  assert.match(verbHelp.stdout, /--parent/);
  assert.match(verbHelp.stdout, /--store/);
  assert.equal((await cli.delta0(["clone", "--help"])).code, 0);
  assert.equal((await cli.delta0(["help", "--json"])).code, 0);
  const none = await cli.delta0([]);
  assert.equal(none.code, 2);
  assert.equal(none.stdout, "");
  assert.equal(failureOf(await cli.delta0(["--json"]))["code"], "USAGE");
});

test("cli: global options hold before the verb and after it, and where DELTA0_STORE says otherwise", async () => {
  await using cli = await cliStore();
  const other = `${cli.path}/other`;
  for (const args of [
    ["--store", other, "--json", "init"],
    ["init", "--store", other, "--json"],
    ["--json", "init", `--store=${other}`],
  ]) {
    const result = await cli.delta0(args);
    assert.equal(documentOf(result)["directory"], other, args.join(" "));
  }
  const ofUser = await cli.delta0(["--version"], { env: { DELTA0_STORE: "" } });
  assert.equal(ofUser.code, 0);
});
