import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { callText } from "../../src/cli/call-text.ts";
import { cliStore, smallTree } from "../support/cli.ts";

/** LevelDB makes its files itself, as the umask has it, in directories that nobody else may pass; LXC reads what is in lxc. */
const OTHERS_MAKE = /^(meta|chunks|uppers|lxc)\//;
/** A tree's own modes are what is in there. */
const EXPORTS = /^(private\/)?exports\//;

test("private: whatever the umask, what is in a store is its owner's alone", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  mkdirSync(`${cli.path}/lxc`);
  const commands = ["import -q tree base", "create -q base web -P lxc", "mkdir web:/new", "export -q base out"];
  for (const command of commands) {
    const { code, stderr } = await cli.shell(`umask 0; exec $DELTA0 ${command}`);
    assert.deepEqual([code, stderr], [0, ""], command);
  }
  const open: string[] = [];
  for (const name of ["", ...readdirSync(cli.store, { recursive: true, encoding: "utf8" })]) {
    if (EXPORTS.test(name)) continue;
    const stat = statSync(`${cli.store}/${name}`);
    if ((stat.mode & 0o077) !== 0 && (stat.isDirectory() || !OTHERS_MAKE.test(name))) open.push(name);
  }
  assert.deepEqual(open, []);
});

test("private: what is set in configs and environments is in no history, and not shown to who waits", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  mkdirSync(`${cli.path}/lxc`);
  for (const args of [
    ["import", "-q", "tree", "base"],
    ["create", "-q", "base", "web", "-P", "lxc", "--set", "lxc.environment=PASSWORD=hunter2"],
  ]) {
    const { code, stderr } = await cli.delta0(args);
    assert.deepEqual([code, stderr], [0, ""]);
  }
  assert.match(readFileSync(`${cli.path}/lxc/web/config`, "utf8"), /^lxc\.environment = PASSWORD=hunter2$/m);
  const { stdout } = await cli.delta0(["reflog"]);
  assert.match(stdout, /--set lxc\.environment=\.\.\./);
  for (const name of readdirSync(cli.store, { recursive: true, encoding: "utf8" }))
    if (!EXPORTS.test(name) && statSync(`${cli.store}/${name}`).isFile())
      assert.ok(!readFileSync(`${cli.store}/${name}`).includes("hunter2"), name);
  assert.equal(callText(["run", "base", "--", "mysql", "-phunter2"]), "run base -- mysql ...");
  assert.equal(callText(["run", "base", "--env=A=hunter2", "--env", "B=hunter2"]), "run base --env=A=... --env B=...");
});

test("private: a value of a config is one line, whatever it is made of", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  mkdirSync(`${cli.path}/lxc`);
  for (const value of ["lxc.a=1\nlxc.hook.pre-start=/evil", "lxc.a=1\0", "lxc.a\n=1", "a=1", "lxc.a"]) {
    const { code } = await cli.shell(`exec $DELTA0 create -q tree web -P lxc --set "$VALUE"`, {
      env: { VALUE: value.replaceAll("\0", "\n") },
    });
    assert.equal(code, 2, JSON.stringify(value));
  }
  for (const name of ["web\nlxc.a", "../web", "web/x", "-web", ""])
    assert.equal((await cli.delta0(["create", "-q", "tree", "-P", "lxc", "--", name])).code, 2, JSON.stringify(name));
  assert.deepEqual(readdirSync(`${cli.path}/lxc`), []);
});

test("private: a store where no directory can be made is said to be so", async () => {
  await using cli = await cliStore();
  for (const [place, code] of [
    ["/proc/delta0", 13],
    ["/proc/self/delta0", 13],
    ["/dev/null/delta0", 2],
  ] as const)
    assert.equal((await cli.delta0(["init", place])).code, code, place);
});
