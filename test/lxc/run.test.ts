import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DELTA0, documentOf, failureOf } from "../support/cli.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { busyboxRootfs, lxcHost, type LxcHost } from "./support.ts";
import { traces } from "./traces.ts";

/** A host with a layer "base" of busybox. */
async function host(): Promise<LxcHost> {
  const at = await lxcHost();
  await busyboxRootfs(`${at.path}/rootfs`);
  writeFileSync(`${at.path}/rootfs/bin/text`, "no program\n");
  await at.ok("import", `${at.path}/rootfs`, "base");
  await at.ok("config", "lxc.path", at.lxcPath);
  return at;
}

/** Neither the store nor the LXC path has anything of a run. */
async function assertNothingLeft(at: LxcHost): Promise<void> {
  const items = documentOf(await at.delta0(["ls", "--json"]))["items"] as { name: string }[];
  assert.deepEqual(
    items.map(({ name }) => name),
    ["base"],
  );
  assert.deepEqual(readdirSync(at.lxcPath), []);
}

test("run: its exit code is the program's, or says why there was none", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const cases: [program: string[], code: number][] = [
    [["/bin/busybox", "true"], 0],
    [["sh", "-c", "exit 7"], 7],
    [["sh", "-c", "exit 1"], 1],
    [["sh", "-c", "exit 255"], 255],
    [["sh", "-c", "kill -9 $$"], 137],
    [["/bin/text"], 126],
    [["/bin/text/x"], 126],
    [["no such program"], 127],
  ];
  for (const [program, code] of cases) {
    const result = await at.delta0(["run", "base", "--", ...program]);
    assert.equal(result.code, code, `${program.join(" ")}: ${result.stderr}`);
  }
  const unknown = await at.delta0(["run", "--json", "bsae", "--", "sh"]);
  assert.equal(unknown.code, 125);
  const { code, exit } = failureOf(unknown);
  assert.deepEqual([code, exit], ["NOT_FOUND", 125]);
  const unstartable = await at.delta0(["run", "--json", "--set", "lxc.cap.drop=nonsense", "base", "--", "sh"]);
  assert.deepEqual([unstartable.code, failureOf(unstartable)["code"]], [125, "PROGRAM_FAILED"]);
  assert.equal((await at.delta0(["run", "base", "sh"])).code, 2);
  await assertNothingLeft(at);
});

test("run: input and output pass as they are, the environment does not, and a terminal is one inside", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "script", "cmp")) return;
  await using at = await host();
  writeFileSync(`${at.path}/bytes`, randomBytes(3_000_000));
  const copied = await at.shell(
    "$DELTA0 run base -- sh -c 'cat; echo aside >&2' <bytes 2>aside | cmp - bytes && cat aside",
  );
  assert.equal(copied.code, 0, copied.stderr);
  assert.match(copied.stdout, /^aside$/m);

  const { stdout } = await at.delta0(["run", "--env", "A=b c=d", "base", "--", "/bin/busybox", "env"], {
    env: { SECRET: "x", TERM: "vt100" },
  });
  const names = stdout.split("\n").map((line) => line.split("=")[0]);
  assert.deepEqual(names.filter((name) => name !== "container" && name !== "").sort(), ["A", "HOME", "PATH", "TERM"]);
  assert.match(stdout, /^A=b c=d$/m);
  assert.match(stdout, /^TERM=vt100$/m);

  const tty = await at.shell(`script -qec "$DELTA0 run base -- sh -c 'test -t 0 && test -t 1 && exit 9'" /dev/null`);
  assert.equal(tty.code, 9, tty.stdout);
  await assertNothingLeft(at);
});

test("run: one that takes too long is killed with all in it", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const script = "trap '' TERM INT; sleep 1000 & sleep 1000";
  const result = await at.delta0(["run", "--timeout", "1", "--json", "base", "--", "sh", "-c", script]);
  assert.equal(result.code, 124);
  const { timedOut, name } = JSON.parse(result.stderr) as { timedOut: boolean; name: string };
  assert.equal(timedOut, true);
  await assertNothingLeft(at);
  assert.deepEqual(await traces(at.lxcPath, name), []);
});

test("run: a signal to it ends the container, which goes; so it does when it is killed itself", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGKILL", null],
  ] as const) {
    const child = start(at, ["base", "--", "sh", "-c", "echo up; sleep 1000"]);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    const [name = ""] = readdirSync(at.lxcPath);
    const ended = endOf(child);
    child.kill(signal);
    assert.equal(await ended, code);
    // Whoever is killed cannot wait for what is done then.
    for (let i = 0; code === null && i < 100 && readdirSync(at.lxcPath).length > 0; i++) await sleep(100);
    await assertNothingLeft(at);
    assert.deepEqual(await traces(at.lxcPath, name), []);
  }
});

test("run: directories and files of the host are bound in, limits hold, whatever the cgroup version", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const source = `${at.path}/a b:c`;
  mkdirSync(source);
  writeFileSync(`${source}/one`, "1");
  writeFileSync(`${at.path}/file`, "file");
  const binds = [
    "--bind",
    `${source}:/mnt/d e`,
    "--bind",
    `${source}:/ro:ro`,
    "--bind",
    `${at.path}/file:/etc/file:ro`,
  ];
  const limits = ["--memory", "64M", "--cpus", "0.5"];
  const script = [
    `cat "/mnt/d e/one" /ro/one /etc/file; echo`,
    `echo 2 >"/mnt/d e/two"`,
    `echo 3 >/ro/three`,
    `echo 4 >/etc/file`,
    `echo ready; cat`,
  ].join("\n");
  const child = start(at, [...binds, ...limits, "--keep", "kept", "base", "--", "sh", "-c", script]);
  let said = "";
  for await (const bytes of child.stdout ?? []) {
    said += String(bytes);
    if (!said.endsWith("ready\n")) continue;
    assert.deepEqual(await limitsOf(at, "kept"), ["67108864", "50000"]);
    child.stdin?.end();
  }
  assert.equal(said, "11file\nready\n");
  assert.deepEqual([...readdirSync(source), readFileSync(`${at.path}/file`, "utf8")], ["one", "two", "file"]);

  const config = readFileSync(`${at.lxcPath}/kept/config`, "utf8");
  for (const line of [
    "lxc.cgroup2.memory.max = 67108864",
    "lxc.cgroup.memory.limit_in_bytes = 67108864",
    "lxc.cgroup2.cpu.max = 50000 100000",
    "lxc.cgroup.cpu.cfs_quota_us = 50000",
  ])
    assert.ok(config.split("\n").includes(line), line);
  for (const wrong of ["nowhere:/x", "/etc:x", `${at.path}/none:/x`, `${source}:/`])
    assert.equal((await at.delta0(["run", "--bind", wrong, "base", "--", "sh"])).code, 125, wrong);
});

test("run: what the program made is copied out, told, or kept", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  mkdirSync(`${at.path}/out`);
  const script = "mkdir /r && echo data >/r/f && rm /bin/seq && echo result";
  const args = ["run", "--diff", "--get", "/r:out", "--get", "/r/f:out", "--keep", "kept", "base", "--"];
  const result = await at.delta0([...args, "sh", "-c", script]);
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stdout, "result\n");
  for (const line of ["A r", "A r/f", "D bin/seq"]) assert.ok(result.stderr.split("\n").includes(line), result.stderr);
  assert.equal(readFileSync(`${at.path}/out/r/f`, "utf8"), "data\n");
  assert.equal(readFileSync(`${at.path}/out/f`, "utf8"), "data\n");
  assert.equal(await at.state("kept"), "STOPPED");
  assert.equal((await at.delta0(["cat", "kept:/r/f"])).stdout, "data\n");
  assert.equal((await at.delta0(["run", "--keep", "kept", "base", "--", "sh"])).code, 125);

  // Of a container with changes, only what the program adds to them.
  const second = await at.delta0(["run", "--diff", "--json", "kept", "--", "sh", "-c", "rm /r/f"]);
  const { changes } = JSON.parse(second.stderr) as { changes: { path: string; kind: string }[] };
  assert.deepEqual(
    changes.filter(({ kind }) => kind !== "metadata").map(({ kind, path }) => [kind, path]),
    [["removed", "r/f"]],
  );
  // What is not there to be copied is a failure, unless the program failed first.
  assert.equal((await at.delta0(["run", "--get", "/none:out", "base", "--", "sh", "-c", "exit 0"])).code, 125);
  assert.equal((await at.delta0(["run", "--get", "/none:out", "base", "--", "sh", "-c", "exit 3"])).code, 3);
  assert.deepEqual(readdirSync(at.lxcPath), ["kept"]);
});

test("run: ten at once each have a container of their own", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await host();
  const runs = Array.from({ length: 10 }, (_, i) => {
    const script = `echo ${i} >/mine; cat /mine /proc/sys/kernel/hostname; ls /`;
    return at.delta0(["run", "base", "--", "sh", "-c", script]);
  });
  const results = await Promise.all(runs);
  const names = new Set<string>();
  for (const [i, { code, stdout, stderr }] of results.entries()) {
    assert.equal(code, 0, stderr);
    const [number, name = ""] = stdout.split("\n");
    assert.equal(number, String(i));
    assert.match(name, /^run-[0-9a-z]{6}$/);
    names.add(name);
  }
  assert.equal(names.size, 10);
  await assertNothingLeft(at);
  for (const name of names) assert.deepEqual(await traces(at.lxcPath, name), []);
});

/** `delta0 run ARGS`, which goes on. */
function start(at: LxcHost, args: readonly string[]): ChildProcess {
  return spawn(DELTA0[0] ?? "", [...DELTA0.slice(1), "run", ...args], {
    env: { ...process.env, DELTA0_STORE: at.store },
    stdio: ["pipe", "pipe", "ignore"],
  });
}

/** Memory in bytes and CPU time in µs per 100 ms, as the kernel has them for a running container. */
async function limitsOf(at: LxcHost, name: string): Promise<string[]> {
  const pid = (await at.lxc("lxc-info", name, "-p", "-H")).trim();
  const groups = readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n");
  const read = (controller: string, old: string, unified: string): string => {
    const legacy = groups.find((line) => line.split(":")[1]?.split(",").includes(controller))?.split(":")[2];
    if (legacy !== undefined) return readFileSync(`/sys/fs/cgroup/${controller}${legacy}/${old}`, "utf8");
    const place = groups.find((line) => line.startsWith("0::"))?.slice("0::".length) ?? "";
    return readFileSync(`/sys/fs/cgroup${place}/${unified}`, "utf8");
  };
  const memory = read("memory", "memory.limit_in_bytes", "memory.max");
  const cpu = read("cpu", "cpu.cfs_quota_us", "cpu.max");
  return [memory, cpu].map((value) => value.split(/\s/)[0] ?? "");
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once("exit", resolve));
}
