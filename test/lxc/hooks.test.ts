import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { parseConfig, readConfig, setValue, writeConfig, getValue } from "../../src/lxc/config-file.ts";
import { cloneConfig } from "../../src/lxc/clone-config.ts";
import { makeContainerDirectory, markPending, readContainerDirectory } from "../../src/lxc/container-directory.ts";
import { hooksFile, writeHooks } from "../../src/lxc/hooks.ts";
import { defaultLxcPath, lxcVersion, stopContainer } from "../../src/lxc/lxc-programs.ts";
import { formatRootfsPath } from "../../src/lxc/rootfs-path.ts";
import { runningContainers } from "../../src/lxc/running.ts";
import { recoverStagings, Staging } from "../../src/lxc/staging.ts";
import { containerConfig } from "../../src/lxc/template.ts";
import { isMountPoint } from "../../src/sys/mounts.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const KEY = "0123456789abcdef".repeat(4);
const STORE = 'st o\'re, $x "y": \\z';

/** A store with one export, of busybox, a delta0 that writes down its calls, and what LXC has to say about containers. */
async function host(store = STORE) {
  const temporary = await temporaryDirectory();
  const directory = `${temporary.path}/${store}`;
  const lxcPath = `${temporary.path}/lxc päth`;
  const paths = {
    directory,
    exports: `${directory}/exports`,
    privateExports: `${directory}/private/exports`,
    mapped: `${directory}/mapped`,
    privateMapped: `${directory}/private-mapped`,
    lxc: `${directory}/lxc`,
    mountLock: `${directory}/lxc/mount.lock`,
  };
  for (const path of [paths.exports, lxcPath]) mkdirSync(path, { recursive: true });
  const base = `${paths.privateExports}/${KEY}`;
  for (const name of ["bin", "dev", "proc", "sys", "tmp"]) mkdirSync(`${base}/${name}`, { recursive: true });
  await run("cp", ["/usr/bin/busybox", `${base}/bin/busybox`]);
  for (const applet of ["sh", "sleep", "cat", "mkdir"]) await run("ln", ["-s", "busybox", `${base}/bin/${applet}`]);
  const program = `${temporary.path}/del ta'0`;
  const delta0 = (does = "") => {
    writeFileSync(program, `#!/bin/sh\necho "$LXC_NAME $6" >>'${temporary.path}/calls'\n${does}\n`, { mode: 0o755 });
  };
  delta0();
  writeHooks(paths, [program]);
  const calls = () => {
    const file = `${temporary.path}/calls`;
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    rmSync(file, { force: true });
    return text.split("\n").filter((line) => line !== "");
  };
  const make = (name: string, delta: "none" | { pending: number } = "none") => {
    const rootfs = formatRootfsPath({ lowers: [`${paths.exports}/${KEY}`], upper: `${lxcPath}/${name}/delta0` });
    const settings = [{ key: "lxc.init.cmd", value: "/bin/sleep 1000" }];
    const config = containerConfig({ name, rootfs, hooksFile: hooksFile(paths), settings });
    makeContainerDirectory(lxcPath, { name, config, exportPath: `${paths.exports}/${KEY}`, delta });
    if (delta === "none") mkdirSync(`${lxcPath}/${name}/delta0`);
    return `${lxcPath}/${name}`;
  };
  const lxc = (program: string, name: string, ...args: string[]) => run(program, ["-P", lxcPath, "-n", name, ...args]);
  const state = (name: string) => runningContainers().state({ name, lxcPath, upper: `${lxcPath}/${name}/delta0` });
  const dispose = async () => {
    for (const name of readdirSync(lxcPath))
      await run("lxc-stop", ["-P", lxcPath, "-n", name, "-k"], { allowed: [0, 1, 2] });
    await temporary[Symbol.asyncDispose]();
  };
  return { paths, base, lxcPath, program, delta0, calls, make, lxc, state, [Symbol.asyncDispose]: dispose };
}

test("lxc hooks: a ready container starts and stops with delta0 called for the capture alone", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const directory = at.make("web");
  // The first start after a boot: the hook itself makes the mount, read-only.
  await at.lxc("lxc-start", "web");
  assert.ok(isMountPoint(at.paths.exports));
  assert.throws(() => writeFileSync(`${at.paths.exports}/${KEY}/x`, ""), { code: "EROFS" });
  assert.deepEqual(at.calls(), []);
  assert.equal(at.state("web"), "running");
  await at.lxc("lxc-freeze", "web");
  assert.equal(at.state("web"), "frozen");
  await at.lxc("lxc-unfreeze", "web");
  await at.lxc("lxc-attach", "web", "--", "/bin/mkdir", "/made");
  assert.equal(stopContainer(at.lxcPath, "web"), undefined);
  assert.deepEqual(at.calls(), ["web post-stop"]);
  assert.equal(at.state("web"), "stopped");
  assert.ok(existsSync(`${directory}/delta0/made`));
  const found = readContainerDirectory(directory);
  assert.deepEqual([found.type, found.type === "container" && found.uncaptured], ["container", true]);
  assert.ok(!existsSync(`${directory}/delta0.log`));
  assert.match((await at.lxc("lxc-info", "web", "-c", "lxc.rootfs.path")).trim(), /delta0$/);
});

test("lxc hooks: ten starts at once after a boot make one mount", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const names = Array.from({ length: 10 }, (_, i) => `c${i}`);
  for (const name of names) at.make(name);
  await Promise.all(names.map((name) => at.lxc("lxc-start", name)));
  assert.deepEqual(at.calls(), []);
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  // In mountinfo a space is \040, and so on; the temporary directory's own name has none of these.
  const [prefix = ""] = at.lxcPath.split("/lxc p");
  assert.equal(lines.filter((line) => line.split(" ")[4]?.startsWith(`${prefix}/`)).length, 1);
});

test("lxc hooks: a pending upper is made by delta0 before the start", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const directory = at.make("web", { pending: 1 });
  at.delta0(`mkdir -p '${directory}/delta0/restored'; rm -f '${directory}/pending'; echo made it anew`);
  await at.lxc("lxc-start", "web");
  assert.deepEqual(at.calls(), ["web pre-start"]);
  await at.lxc("lxc-attach", "web", "--", "/bin/mkdir", "/restored/below");
  assert.match(readFileSync(`${directory}/delta0.log`, "utf8"), /pre-start: made it anew\n$/);
});

test("lxc hooks: without a delta0 that works, only what would start from a wrong root does not start", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const ready = at.make("ready");
  const pending = at.make("pending", { pending: 1 });
  const marked = at.make("marked");
  markPending(marked, 2);
  for (const breakIt of [() => at.delta0("exit 1"), () => rmSync(at.program)]) {
    breakIt();
    await at.lxc("lxc-start", "ready");
    assert.equal(at.state("ready"), "running");
    await at.lxc("lxc-stop", "ready", "-k");
    for (const name of ["pending", "marked"]) await assert.rejects(at.lxc("lxc-start", name));
    assert.ok(!existsSync(`${pending}/delta0`));
  }
  assert.match(readFileSync(`${pending}/delta0.log`, "utf8"), /cannot start: .*delta0 is missing/);
  assert.match(readFileSync(`${marked}/delta0.log`, "utf8"), /cannot start: .*delta0 is out of date/);
  assert.match(readFileSync(`${ready}/delta0.log`, "utf8"), /post-stop: not captured/);

  await run("umount", [at.paths.exports]);
  renameSync(at.base, `${at.base}.away`);
  await assert.rejects(at.lxc("lxc-start", "ready"));
  renameSync(`${at.base}.away`, at.base);
  await at.lxc("lxc-start", "ready");
});

test("lxc hooks: LXC's own copies, ephemeral ones, snapshots and their restoring work, and leave the export alone", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "rsync")) return;
  // lxc-copy itself splits at the first colon, whatever stands before it.
  await using at = await host("store of 'one'");
  const directory = at.make("web");
  const listing = () => run("find", [at.base, "-printf", "%p %i %m %C@\n"]);
  const before = await listing();
  await at.lxc("lxc-start", "web");
  await at.lxc("lxc-attach", "web", "--", "/bin/mkdir", "/one");
  await at.lxc("lxc-stop", "web", "-k");
  at.calls();

  await at.lxc("lxc-copy", "web", "-N", "copy", "-s");
  await at.lxc("lxc-start", "copy");
  await at.lxc("lxc-attach", "copy", "--", "/bin/mkdir", "/one/two");
  await at.lxc("lxc-stop", "copy", "-k");
  assert.deepEqual(at.calls(), ["copy post-stop"]);

  await at.lxc("lxc-copy", "web", "-N", "gone", "-e");
  await at.lxc("lxc-attach", "gone", "--", "/bin/mkdir", "/one/two");
  const pid = () => at.lxc("lxc-info", "gone", "-p", "-H").catch(() => "");
  const firstInit = await pid();
  // The reboot kills whoever asked for it, too.
  await at.lxc("lxc-attach", "gone", "--", "/bin/busybox", "reboot", "-f").catch(() => undefined);
  await until(async () => !["", firstInit].includes(await pid()));
  assert.deepEqual(at.calls(), []);
  assert.equal(stopContainer(at.lxcPath, "gone"), undefined);
  assert.deepEqual(at.calls(), ["gone post-stop"]);
  await until(() => !existsSync(`${at.lxcPath}/gone`));

  await at.lxc("lxc-snapshot", "web");
  await at.lxc("lxc-start", "web");
  await at.lxc("lxc-attach", "web", "--", "/bin/mkdir", "/later");
  await at.lxc("lxc-stop", "web", "-k");
  at.calls();
  // An original with copies cannot be restored over.
  await at.lxc("lxc-destroy", "copy");
  await at.lxc("lxc-snapshot", "web", "-r", "snap0");
  const found = readContainerDirectory(directory);
  assert.ok(found.type === "container");
  assert.equal(found.rootfs.upper, `${directory}/overlay/delta`);
  assert.equal(getValue(found.config, "lxc.include"), hooksFile(at.paths));
  await at.lxc("lxc-start", "web");
  await at.lxc("lxc-stop", "web", "-k");
  assert.deepEqual(at.calls(), ["web post-stop"]);
  assert.deepEqual(readdirSync(`${directory}/overlay/delta`).includes("later"), false);
  assert.deepEqual(readdirSync(`${directory}/overlay/delta`).includes("one"), true);

  await at.lxc("lxc-destroy", "web", "-s");
  assert.ok(!existsSync(directory));
  assert.equal(await listing(), before);
});

test("lxc: a clone's config, and a container that was renamed, start under their own names", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const directory = at.make("old");
  const rootfs = formatRootfsPath({ lowers: [`${at.paths.exports}/${KEY}`], upper: `${at.lxcPath}/clone/delta0` });
  const names = { originalName: "old", originalDirectory: directory, name: "clone", directory: `${at.lxcPath}/clone` };
  const { config } = cloneConfig(readConfig(`${directory}/config`), { ...names, rootfs });
  makeContainerDirectory(at.lxcPath, { name: "clone", config, exportPath: "/", delta: "none" });
  mkdirSync(`${at.lxcPath}/clone/delta0`);

  const known = { has: (name: string) => name === "new" };
  mkdirSync(`${at.paths.directory}/staging`);
  const staging = Staging.begin(`${at.paths.directory}/staging`, at.lxcPath, known);
  staging.takeAwayAs("old", "new");
  assert.deepEqual(recoverStagings(`${at.paths.directory}/staging`, known), []);
  for (const name of ["clone", "new"]) {
    await at.lxc("lxc-start", name);
    assert.equal((await at.lxc("lxc-attach", name, "--", "/bin/cat", "/proc/sys/kernel/hostname")).trim(), name);
    assert.ok(existsSync(`${at.lxcPath}/${name}/work`));
  }
  assert.deepEqual(readdirSync(at.lxcPath).sort(), ["clone", "new"]);
});

test("lxc: what we read in a config is what LXC reads", async (t) => {
  if (!requireLxc(t)) return;
  await using at = await host();
  mkdirSync(`${at.lxcPath}/t`);
  const file = `${at.lxcPath}/t/config`;
  for (const value of ["a b", "'", "''a''", '"a', "a # b", "\ta ", "=", "ä", "'a' 'b'", "a\\b"]) {
    writeConfig(file, setValue(parseConfig("# c\r\n\nlxc.tty.max = 1\n"), "lxc.hook.mount", value));
    const said = await at.lxc("lxc-info", "t", "-c", "lxc.hook.mount");
    assert.equal(said, `lxc.hook.mount = ${value}\n\n`);
    assert.equal(getValue(readConfig(file), "lxc.hook.mount"), value);
  }
});

test("lxc: a container in a long path, and one started through a symlink, are seen to run", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const place = (lxcPath: string, upper?: string) => ({ name: "web", lxcPath, upper });
  const directory = at.make("web");
  const link = `${at.paths.directory}/link`;
  await run("ln", ["-s", at.lxcPath, link]);
  await run("lxc-start", ["-P", link, "-n", "web"]);
  assert.equal(runningContainers().isRunning(place(at.lxcPath)), false);
  assert.equal(runningContainers().isRunning(place(at.lxcPath, `${directory}/delta0`)), true);
  await run("lxc-stop", ["-P", link, "-n", "web", "-k"]);

  const long = `${at.lxcPath}/${"x".repeat(100)}`;
  mkdirSync(long);
  renameSync(directory, `${long}/web`);
  await run("lxc-start", ["-P", long, "-n", "web"]);
  assert.equal(runningContainers().isRunning(place(long)), true);
  await run("lxc-stop", ["-P", long, "-n", "web", "-k"]);
  assert.equal(runningContainers().isRunning(place(long)), false);
});

test("lxc: its version and path are known where it is installed", (t) => {
  if (!requireLxc(t)) return;
  assert.match(lxcVersion() ?? "", /^[0-9]+\.[0-9]+/);
  assert.match(defaultLxcPath() ?? "", /^\//);
});

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 100; i++) {
    if (await holds()) return;
    await sleep(50);
  }
  assert.fail("it did not come to that in 5 s");
}
