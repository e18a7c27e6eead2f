import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { cliStore } from "../support/cli.ts";
import { requireRoot, requireRootfs } from "../support/requirements.ts";
import { rootfsTar } from "../support/rootfs.ts";

const LIMIT_BYTES = 512 << 20;

test("memory: with 512 MB each command does what it does with more, on a real root filesystem", async (t) => {
  if (!requireRoot(t) || !requireRootfs(t, "trixie")) return;
  const tar = await rootfsTar("trixie");
  using group = limitedGroup(t);
  if (group === undefined) return;
  await using at = await cliStore();
  mkdirSync(`${at.path}/lxc`);
  for (const [line, ...allowed] of [
    [`import ${tar} base`],
    ["create base web --lxcpath ./lxc"],
    ["clone web web2 --lxcpath ./lxc"],
    ["export web ./out"],
    ["put ./out/usr/share web:/srv"],
    ["chown -R 1:1 web:/srv"],
    ["status web", 1],
    ["commit web more"],
    ["diff base more", 1],
    ["rebase web2 --onto more"],
    ["export web --for-start"],
    ["fsck --deep"],
    ["rm web2 --now -y"],
    ["gc --grace 0"],
  ] as const) {
    const { code, stderr } = await at.shell(`echo $$ > ${group.processes} && exec $DELTA0 ${line}`);
    assert.ok([0, ...allowed].includes(code), `${line}: ${code} ${stderr.slice(-500)}`);
  }
  assert.equal(group.kills(), 0);
});

interface Group extends Disposable {
  /** The file that a process writes its number to, to be in it. */
  readonly processes: string;
  readonly kills: () => number;
}

/** A control group of `LIMIT_BYTES` without swap, of either version. undefined, and the test is skipped, where there can be none */
function limitedGroup(t: TestContext): Group | undefined {
  for (const [parent, limit, swap, events] of [
    ["/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control"],
    ["/sys/fs/cgroup", "memory.max", "memory.swap.max", "memory.events"],
  ] as const) {
    const path = `${parent}/delta0-test-${process.pid}`;
    if (!existsSync(`${parent}/cgroup.procs`)) continue;
    mkdirSync(path);
    const group: Group = {
      processes: `${path}/cgroup.procs`,
      kills: () => Number(/^oom_kill ([0-9]+)$/m.exec(readFileSync(`${path}/${events}`, "utf8"))?.[1]),
      [Symbol.dispose]: () => {
        rmdirSync(path);
      },
    };
    if (existsSync(`${path}/${limit}`)) {
      writeFileSync(`${path}/${limit}`, String(LIMIT_BYTES));
      if (existsSync(`${path}/${swap}`))
        writeFileSync(`${path}/${swap}`, limit === "memory.max" ? "0" : String(LIMIT_BYTES));
      return group;
    }
    group[Symbol.dispose]();
  }
  t.skip("no control group can limit memory here");
  return undefined;
}
