import assert from "node:assert/strict";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { documentOf } from "../support/cli.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { busyboxRootfs, lxcHost } from "./support.ts";

test("bisect: in containers, by what a program does there; also where the layer took the program away", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await lxcHost();
  const rootfs = await busyboxRootfs(`${at.path}/rootfs`);
  for (let number = 0; number < 5; number++) {
    writeFileSync(`${rootfs}/etc/number`, `${number}\n`);
    if (number === 2) rmSync(`${rootfs}/bin/seq`);
    await at.ok("import", rootfs, `l${number}`, ...(number > 0 ? ["--parent", `l${number - 1}`] : []));
  }
  await at.ok("config", "lxc.path", at.lxcPath);
  const script = "echo heard; sleep 1000 & test $(cat /etc/number) -lt 3 || test -d /none";
  const found = await at.delta0(["bisect", "l0", "l4", "--", "sh", "-c", script]);
  assert.equal(found.code, 0, found.stderr);
  assert.match(found.stdout, /^first bad: l3 .*\nlast good: l2 .*\ndelta0 diff l2 l3\n$/s);
  assert.match(found.stderr, /^heard$/m);
  assert.match(found.stderr, /^good {5}l2 {2}\(exit 0\)$/m);
  const gone = await at.delta0(["bisect", "--json", "l0", "l4", "--", "seq", "1"]);
  const { firstBad, steps } = documentOf(gone) as { firstBad: { names: string[] }; steps: { exitCode: number }[] };
  assert.deepEqual([firstBad.names, steps[0]?.exitCode], [["l2"], 127]);
  assert.equal((await at.delta0(["bisect", "l0", "l4", "--", "no such program"])).code, 69);
  assert.deepEqual(readdirSync(at.lxcPath), []);
});
