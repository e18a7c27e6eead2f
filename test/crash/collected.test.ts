import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { clone, gc, importLayer, isStoreError, openView, remove, Store, tag } from "../../src/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { upToStep } from "./steps.ts";

test("kill: at each step of gc a state gets a name by its digest only if all of it is still there", async () => {
  await using directory = await temporaryDirectory();
  const [source, path] = [`${directory.path}/source`, `${directory.path}/store`];
  for (let i = 0; i < 3; i++) {
    mkdirSync(`${source}/${i}`, { recursive: true });
    writeFileSync(`${source}/${i}/file`, Buffer.alloc(300_000, `${i}`));
  }
  const outcomes = new Set<string>();
  for (let step = 0, killed = true; killed; step++) {
    let digest: string;
    {
      await using store = await Store.open(path, { create: true });
      const context = { store, command: "test" };
      digest = (await importLayer(context, { source, name: "base" })).digest;
      await remove(context, { names: ["base"] });
    }
    {
      // What the process that made it has claimed would be kept.
      await using store = await Store.open(path);
      killed = await upToStep(step, () => gc({ store, command: "test" }, { grace: "0" }));
    }
    await using store = await Store.open(path);
    const context = { store, command: "test" };
    for (const name of [
      () => clone(context, { ref: digest, names: ["web"], noLxc: true }),
      () => tag(context, { ref: digest, name: "layer" }),
    ])
      await name().then(
        () => outcomes.add("named"),
        (error: unknown) => {
          assert.ok(isStoreError(error, "NOT_FOUND"), `step ${step}: ${String(error)}`);
          outcomes.add("refused");
        },
      );
    for (const name of ["web", "layer"]) {
      if (store.refs.find(name) === undefined) continue;
      const view = await openView(context, { ref: name });
      for (let i = 0; i < 3; i++) assert.equal(view.readFileSync(`/${i}/file`).length, 300_000, `step ${step}`);
      await remove(context, { names: [name] });
    }
    await gc(context, { grace: "0" });
  }
  assert.deepEqual([...outcomes].sort(), ["named", "refused"]);
});
