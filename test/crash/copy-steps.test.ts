import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { clone, create, list, Store } from "../../src/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { assertNothingHalfMade, FOR_ANYBODY } from "../operations/support.ts";
import { upToStep } from "./steps.ts";

test("kill: at each step of clone --copy leaves a whole copy or none, and never a record", async (t) => {
  await using directory = await temporaryDirectory();
  const [lxcPath, source, storePath] = ["lxc", "source", "store"].map((name) => `${directory.path}/${name}`);
  assert.ok(lxcPath && source && storePath);
  for (const path of [lxcPath, source, `${source}/etc`]) mkdirSync(path);
  writeFileSync(`${source}/etc/hostname`, "base\n");
  {
    await using store = await Store.open(storePath, { create: true });
    const context = { store, command: "test" };
    await create(context, { source, name: "web", lxcPath, ...FOR_ANYBODY });
    // With the database of drafts, which this process could not open a second time after the kill of the first.
    await clone(context, { ref: "web", names: ["first"], lxcPath, copy: true });
  }
  let step = 0;
  let madeAt: number | undefined;
  for (let killed = true; killed;) {
    step++;
    const name = `copy${step}`;
    {
      await using store = await Store.open(storePath);
      const context = { store, command: "test" };
      killed = await upToStep(step, () => clone(context, { ref: "web", names: [name], lxcPath, copy: true }));
    }
    await using store = await Store.open(storePath);
    assertNothingHalfMade({ store }, lxcPath);
    assert.deepEqual(
      (await list({ store, command: "test" })).map((item) => item.name),
      ["web"],
    );
    if (!existsSync(`${lxcPath}/${name}`)) {
      assert.equal(madeAt, undefined, `step ${step} undid it`);
      continue;
    }
    madeAt ??= step;
    assert.equal(readFileSync(`${lxcPath}/${name}/rootfs/etc/hostname`, "utf8"), `${name}\n`);
    assert.match(readFileSync(`${lxcPath}/${name}/config`, "utf8"), /^lxc.rootfs.path = dir:/m);
  }
  assert.ok(madeAt !== undefined);
  assert.ok(readdirSync(lxcPath).includes("web"));
  t.diagnostic(`${step} steps; done from step ${madeAt} on`);
});
