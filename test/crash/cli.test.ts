import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readContainerDirectory } from "../../src/lxc/container-directory.ts";
import { cliStore, type CliStore, DELTA0, documentOf, smallTree } from "../support/cli.ts";

const KILLS = Number(process.env["DELTA0_KILLS"] ?? 60) / 3;

interface Item {
  readonly name: string;
  readonly digest: string;
}

/** A command with LXC directories: what it takes, and what it may leave beside what was there. */
interface Case {
  readonly args: readonly string[];
  /** What is there afterwards; before, "web" is. */
  readonly after: readonly string[];
}

const CASES: readonly Case[] = [
  { args: ["create", "base", "new"], after: ["new", "web"] },
  { args: ["clone", "web", "--count", "20", "--prefix", "c"], after: [...clones(20), "web"].sort() },
  { args: ["rename", "web", "new"], after: ["new"] },
  { args: ["rm", "web"], after: [] },
];

test(`crash: after each of ${KILLS} SIGKILLs of the command the next finds all of it done or nothing, in LXC's directory too`, async (t) => {
  await using at = await cliStore();
  const lxcPath = `${at.path}/lxc`;
  mkdirSync(lxcPath);
  await smallTree(`${at.path}/source`);
  await ok(at, "import", `${at.path}/source`, "base");
  await ok(at, "config", "lxc.path", lxcPath);
  await ok(at, "create", "base", "first");
  await ok(at, "put", `${at.path}/source`, "first:/srv/changed");
  await ok(at, "rename", "first", "web");
  const [changed] = await containers(at);
  assert.ok(changed);

  const seen = { before: 0, after: 0 };
  for (let kill = 0; kill < KILLS; kill++) {
    const { args, after } = CASES[kill % CASES.length] ?? assert.fail();
    await killed(at, args);
    const items = await containers(at);
    const names = items.map(({ name }) => name);
    const isDone = JSON.stringify(names) === JSON.stringify(after);
    if (!isDone) assert.deepEqual(names, ["web"], args.join(" "));
    seen[isDone ? "after" : "before"]++;
    // Nothing else is there, hidden or not.
    assert.deepEqual(readdirSync(lxcPath).sort(), names);
    assert.deepEqual(readdirSync(`${at.store}/private/staging`), []);
    for (const { name, digest } of items) {
      const found = readContainerDirectory(`${lxcPath}/${name}`);
      assert.equal(found.type, "container", name);
      assert.ok(found.hasUpper || found.pendingGeneration !== undefined, name);
      assert.equal(found.rootfs.upper, `${lxcPath}/${name}/delta0`);
      if (args[0] !== "create" || name === "web") assert.equal(digest, changed.digest, name);
    }
    await backToWeb(at, names, changed.digest);
  }
  t.diagnostic(`killed before it was done ${seen.before} times, after it ${seen.after} times`);
});

function clones(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `c${i + 1}`);
}

async function ok(at: CliStore, ...args: string[]): Promise<ReturnType<CliStore["delta0"]>> {
  const result = await at.delta0(args);
  assert.equal(result.code, 0, `${args.join(" ")}: ${result.stderr}`);
  return result;
}

/** What another command sees, sorted by name. */
async function containers(at: CliStore): Promise<Item[]> {
  const items = documentOf(await ok(at, "ls", "--json"))["items"] as (Item & { type: string })[];
  return items.filter(({ type }) => type === "container").sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Runs the command until a moment that is somewhere in its work: from the sight of its staging directory on, or a bit before. */
async function killed(at: CliStore, args: readonly string[]): Promise<void> {
  const child = spawn(DELTA0[0] ?? "", [...DELTA0.slice(1), ...args], {
    env: { ...process.env, DELTA0_STORE: at.store },
    stdio: "ignore",
  });
  const exit = once(child, "exit");
  const isStaging = (): boolean => readdirSync(`${at.store}/private/staging`).length > 0;
  while (child.exitCode === null && !isStaging()) await sleep(0);
  const until = performance.now() + Math.random() ** 2 * MAX_DELAY_MS;
  while (performance.now() < until) if (Math.random() < 0.1) await sleep(0);
  child.kill("SIGKILL");
  await exit;
}

/** Its steps are few milliseconds, most of them of syncing. */
const MAX_DELAY_MS = 20;

async function backToWeb(at: CliStore, names: readonly string[], digest: string): Promise<void> {
  const extra = names.filter((name) => name !== "web");
  if (!names.includes("web")) await ok(at, "clone", digest, "web");
  if (extra.length > 0) await ok(at, "rm", ...extra);
}
