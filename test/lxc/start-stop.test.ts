import assert from "node:assert/strict";
import { appendFileSync, readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { documentOf } from "../support/cli.ts";
import { requireCommands, requireLxc, requireRootfs } from "../support/requirements.ts";
import { rootfsTar } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, lxcHost, type LxcHost, SLEEP } from "./support.ts";
import { traces } from "./traces.ts";

const CLONES = 200;

/** A host with a layer "base" of busybox. */
async function host(): Promise<LxcHost> {
  const at = await lxcHost();
  await busyboxRootfs(`${at.path}/rootfs`);
  await at.ok("import", `${at.path}/rootfs`, "base");
  return at;
}

interface Item {
  readonly name: string;
  readonly state: string;
  readonly captured: string | null;
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly failure: { readonly code: string; readonly message: string } | null;
}

function itemsOf(result: Parameters<typeof documentOf>[0]): Item[] {
  return documentOf(result)["items"] as Item[];
}

test(`start, exec, stop: ${CLONES} clones, ten at a time, all run, are captured, and leave nothing behind`, async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  // Short enough for the names of network interfaces.
  const prefix = `m${process.pid}x`;
  const names = Array.from({ length: CLONES }, (_, i) => `${prefix}${i + 1}`);
  await at.ok("clone", "base", "--count", String(CLONES), "--prefix", prefix, ...SLEEP, "--set", "lxc.net.0.type=veth");
  for (const name of names) appendFileSync(`${at.lxcPath}/${name}/config`, `lxc.net.0.veth.pair = ${name}\n`);

  const started = itemsOf(await at.ok("start", "-j", "10", "--json", ...names));
  assert.deepEqual(
    started.map(({ name, failure }) => [name, failure]),
    names.map((name) => [name, null]),
  );
  assert.equal(readdirSync("/sys/class/net").filter((name) => name.startsWith(prefix)).length, CLONES);
  const executed = itemsOf(await at.ok("exec", "--json", ...names, "--", "sh", "-c", "echo $HOME >/f; cat /f"));
  assert.deepEqual([...new Set(executed.map(({ exitCode, stdout }) => `${exitCode} ${stdout}`))], ["0 /root\n"]);
  const stopped = itemsOf(await at.ok("stop", "-j", "10", "-t", "0", "--json", ...names));
  assert.ok(stopped.every(({ captured, failure }) => captured !== null && failure === null));
  // All of it was captured by the one command: no hook did it, and none is left to do.
  for (const name of names)
    assert.deepEqual(readdirSync(`${at.lxcPath}/${name}`).sort(), ["config", "delta0", "rootfs"], name);
  assert.equal((await at.ok("cat", ...names.map((name) => `${name}:/f`))).stdout, "/root\n".repeat(CLONES));

  // As it should be is no failure.
  await at.ok("stop", "-t", "0", names[0] ?? "");
  await at.ok("rm", ...names);
  await at.ok("unexport");
  assert.equal(itemsOf(await at.ok("exports", "--json")).length, 0);
  const left = await traces(at.path, prefix);
  assert.deepEqual(
    left.filter((place) => place !== `${at.store}/exports`),
    [],
  );
});

test("stop: of many that LXC stops at once none waits for all the captures, and the next command has them", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const names = Array.from({ length: 12 }, (_, i) => `c${i + 1}`);
  await at.ok("clone", "base", "--count", "12", "--prefix", "c", ...SLEEP);
  await at.ok("start", ...names);
  await at.ok("exec", "-q", ...names, "--", "touch", "/made");
  await Promise.all(names.map((name) => at.lxc("lxc-stop", name, "-k")));
  const items = itemsOf(await at.ok("ls", "--json", "c*"));
  assert.deepEqual([...new Set(items.map(({ state }) => state))], ["stopped"]);
  assert.equal(items.filter(({ captured }) => captured !== null).length, 12);
  await at.ok("cat", ...names.map((name) => `${name}:/made`));
});

test("start: LXC's reason is passed on for each that does not start, and the others do", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  await at.ok("create", "base", "good", ...SLEEP);
  await at.ok("create", "base", "bad");
  await at.ok("create", "base", "logged", "--set", `lxc.log.file=${at.path}/own.log`);
  await at.ok("clone", "base", "plain", "--no-lxc");

  const result = await at.delta0(["start", "bad", "good", "logged"]);
  assert.equal(result.code, 69);
  assert.equal(result.stdout, "good: started\n");
  assert.match(result.stderr, /bad: .*\/sbin\/init/);
  // What a config says about logs holds.
  assert.match(result.stderr, /logged: see .*own\.log/);
  const failed = itemsOf(await at.delta0(["start", "--json", "bad"]));
  assert.deepEqual([failed[0]?.failure?.code, failed[0]?.name], ["PROGRAM_FAILED", "bad"]);

  // Names are looked at first: nothing is begun.
  assert.equal((await at.delta0(["stop", "good", "none"])).code, 4);
  assert.equal((await at.delta0(["start", "good", "base"])).code, 2);
  assert.equal((await at.delta0(["start", "plain"])).code, 6);
  assert.equal(await at.state("good"), "RUNNING");
});

test("exec: the output of several has their names, and the exit code is the greatest", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  await at.ok("clone", "base", "--count", "2", "--prefix", "c", ...SLEEP);
  assert.equal((await at.delta0(["exec", "c1", "--", "sh"])).code, 6);
  await at.ok("start", "c1", "c2");
  const script = 'read name </proc/sys/kernel/hostname; printf "one\\ntwo $A"; echo aside >&2; exit ${name#c}';
  const both = await at.delta0(["exec", "--env", "A=b c", "c1", "c2", "--", "sh", "-c", script]);
  assert.equal(both.code, 2, both.stderr);
  assert.deepEqual(both.stdout.split("\n").sort(), ["", "c1: one", "c1: two b c", "c2: one", "c2: two b c"]);
  assert.ok(
    ["c1: aside", "c2: aside"].every((line) => both.stderr.split("\n").includes(line)),
    both.stderr,
  );
  const one = await at.delta0(["exec", "c1", "--", "cat"], { input: "as it is" });
  assert.deepEqual([one.code, one.stdout], [0, "as it is"]);
  assert.equal((await at.delta0(["exec", "c1", "--", "nonesuch"])).code, 127);
  await at.ok("stop", "-t", "0", "c1", "c2");
});

test("export --for-start: the first start finds the export made", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const path = (await at.ok("export", "--for-start", "base")).stdout.trim();
  assert.deepEqual(readdirSync(path), readdirSync(`${at.path}/rootfs`));
  await at.ok("create", "base", "web", ...SLEEP);
  assert.match(readFileSync(`${at.lxcPath}/web/config`, "utf8"), new RegExp(`overlay:${path}:`));
  assert.equal(documentOf(await at.ok("export", "--for-start", "base", "--json"))["made"], false);
  assert.equal((await at.delta0(["export", "--for-start", "base", `${at.path}/x`])).code, 2);
  assert.equal((await at.delta0(["export", "base"])).code, 2);
  await run("test", ["-x", `${path}/bin/busybox`]);
});

test("run: a Debian has its own init", async (t) => {
  if (!requireLxc(t) || !requireRootfs(t, "bookworm")) return;
  await using at = await lxcHost();
  await at.ok("import", await rootfsTar("bookworm"), "base");
  await at.ok("config", "lxc.path", at.lxcPath);
  const script = "cat /proc/1/cmdline; dpkg --print-architecture";
  const { code, stdout, stderr } = await at.delta0(["run", "base", "--", "sh", "-c", script]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^\/sbin\/init\0/);
  assert.deepEqual(readdirSync(at.lxcPath), []);
});
