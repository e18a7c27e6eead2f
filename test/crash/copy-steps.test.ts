import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { backup, clone, create, list, listSnapshots, restore, snapshot, Store } from "../../src/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { assertNothingHalfMade, FOR_ANYBODY, runContainer, startContainer } from "../operations/support.ts";
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

test("kill: at each step of restore leaves the whole container with its snapshots, or nothing", async (t) => {
  await using directory = await temporaryDirectory();
  const [lxcPath, source, storePath, file] = ["lxc", "source", "store", "web.backup"].map(
    (name) => `${directory.path}/${name}`,
  );
  assert.ok(lxcPath && source && storePath && file);
  for (const path of [lxcPath, source]) mkdirSync(path);
  writeFileSync(`${source}/file`, "of the base");
  {
    await using store = await Store.open(storePath, { create: true });
    const context = { store, command: "test" };
    await create(context, { source, name: "web", lxcPath, ...FOR_ANYBODY });
    await runContainer(context, "web", (upper) => writeFileSync(`${upper}/new`, "1"));
    await snapshot(context, { name: "web" });
    await backup(context, { name: "web", file });
  }
  let step = 0;
  let madeAt: number | undefined;
  for (let killed = true; killed;) {
    step++;
    const name = `c${step}`;
    const emptyPath = `${directory.path}/store${step}`;
    {
      await using store = await Store.open(emptyPath, { create: true });
      killed = await upToStep(step, () => restore({ store, command: "test" }, { file, name, lxcPath }));
    }
    await using store = await Store.open(emptyPath);
    const context = { store, command: "test" };
    assertNothingHalfMade({ store }, lxcPath);
    const items = await list(context, { only: "containers" });
    assert.equal(existsSync(`${lxcPath}/${name}`), items.length === 1);
    if (items.length === 0) {
      assert.equal(madeAt, undefined, `step ${step} undid it`);
      continue;
    }
    madeAt ??= step;
    assert.equal((await listSnapshots(context, { name })).length, 1);
    await startContainer(context, name);
    assert.equal(readFileSync(`${lxcPath}/${name}/delta0/new`, "utf8"), "1");
  }
  assert.ok(madeAt !== undefined);
  t.diagnostic(`${step} steps; done from step ${madeAt} on`);
});
