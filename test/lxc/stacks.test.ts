import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { clone, put, Store, unlinkFiles } from "../../src/index.ts";
import { readConfig, getValue } from "../../src/lxc/config-file.ts";
import { parseRootfsPath } from "../../src/lxc/rootfs-path.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, lxcHost, SLEEP } from "./support.ts";
import type { LxcHost } from "./support.ts";

const GENERATIONS = 26;
const MANY = 4000;

/** A base that is worth a stack. */
async function largeBase(at: LxcHost): Promise<void> {
  const rootfs = await busyboxRootfs(`${at.path}/rootfs`);
  mkdirSync(`${rootfs}/many`);
  for (let i = 0; i < MANY; i++) writeFileSync(`${rootfs}/many/${i}`, `file ${i}`);
  await at.ok("import", rootfs, "base");
}

function lowersOf(at: LxcHost, name: string): readonly string[] {
  const rootfs = parseRootfsPath(getValue(readConfig(`${at.lxcPath}/${name}/config`), "lxc.rootfs.path") ?? "");
  assert.equal(rootfs.type, "overlay");
  return rootfs.lowers;
}

/** More than is written into a clone's own delta: what it brings, and whom it takes away. */
function change(at: LxcHost, generation: number): string {
  const directory = `${at.path}/change${generation}`;
  mkdirSync(`${directory}/generation${generation}`, { recursive: true });
  for (let i = 0; i < PER_GENERATION; i++) writeFileSync(`${directory}/generation${generation}/${i}`, `${generation}`);
  writeFileSync(`${directory}/now`, `${generation}\n`);
  return directory;
}

const PER_GENERATION = 1050;

test("lxc: a chain of clones of clones, beyond the limit of what they stand on, shows what all before did", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await lxcHost();
  await largeBase(at);
  await at.ok("create", "base", "c0", ...SLEEP);
  const depths = await chain(at);
  assert.deepEqual(
    depths.slice(0, 23),
    Array.from({ length: 23 }, (_, i) => i + 2),
  );
  assert.ok(
    depths.slice(23).every((depth) => depth < 20),
    depths.join(),
  );
  for (const [i, name] of [
    [5, "c5"],
    [23, "c23"],
    [GENERATIONS, `c${GENERATIONS}`],
  ] as const) {
    await at.lxc("lxc-start", name);
    const shown = await at.attach(name, "ls /generation*; ls /many; cat /now");
    const own = name === `c${GENERATIONS}` ? i : i + 1;
    const lines = shown.split("\n").filter((line) => line !== "" && !line.startsWith("/"));
    assert.equal(lines.length, own * PER_GENERATION + MANY - own + 1, name);
    assert.equal(lines.at(-1), String(own - 1));
    await at.lxc("lxc-stop", name, "-k");
  }
  const { items } = JSON.parse((await at.ok("exports", "--json")).stdout) as { items: { changed: string[] }[] };
  assert.ok(items.every((item) => item.changed.length === 0));
});

/** Clones of clones, each of which changed much. @returns of how many exports each stands on */
async function chain(at: LxcHost): Promise<number[]> {
  const depths: number[] = [];
  await using store = await Store.open(at.store);
  const context = { store, command: "test" };
  for (let i = 0; i < GENERATIONS; i++) {
    const directory = change(at, i);
    await put(context, { sources: [`${directory}/generation${i}`, `${directory}/now`], target: `c${i}:/` });
    await unlinkFiles(context, { paths: [`c${i}:/many/${i}`] });
    await clone(context, { ref: `c${i}`, names: [`c${i + 1}`], lxcPath: at.lxcPath });
    depths.push(lowersOf(at, `c${i + 1}`).length);
  }
  return depths;
}

test("lxc: what a container stands on is there after a boot, for copies too, and one that is lost is made", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await lxcHost();
  await largeBase(at);
  await at.ok("create", "base", "web", ...SLEEP);
  await at.lxc("lxc-start", "web");
  await at.lxc("lxc-stop", "web", "-k");
  for (let i = 0; i < 3; i++) {
    const directory = change(at, i);
    await at.ok("put", `${directory}/generation${i}`, `${directory}/now`, "web:/");
    await at.ok("commit", "web", `layer${i}`);
    await at.ok("export", "--for-start", "web");
  }
  assert.equal(lowersOf(at, "web").length, 4);
  // As after a boot.
  await run("umount", [`${at.store}/exports`]);
  await at.lxc("lxc-start", "web");
  assert.equal((await at.attach("web", "cat /now /generation*/7")).replaceAll("\n", ""), "2012");
  await at.lxc("lxc-stop", "web", "-k");
  // As lxc-copy would make one, if it knew of several lowers.
  mkdirSync(`${at.lxcPath}/copy/delta0`, { recursive: true });
  const config = readFileSync(`${at.lxcPath}/web/config`, "utf8");
  writeFileSync(`${at.lxcPath}/copy/config`, config.replaceAll("/web/", "/copy/").replace("lxc.uts.name = web", ""));
  await at.ok("config", "lxc.path", at.lxcPath);
  await at.ok("rm", "web");
  await at.ok("unexport");
  await at.lxc("lxc-start", "copy");
  assert.equal((await at.attach("copy", "cat /now")).trim(), "2");
  await at.lxc("lxc-stop", "copy", "-k");
  const [, second = ""] = lowersOf(at, "copy");
  const hidden = second.replace("/exports/", "/private/exports/");
  await run("sh", ["-ec", 'chattr -i "$1"; rm -rf "$1"', "sh", hidden]);
  await at.lxc("lxc-start", "copy");
  assert.equal((await at.attach("copy", "cat /generation1/7")).trim(), "1");
});
