import assert from "node:assert/strict";
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { clone, create, importLayer, list, postStop, remove, show, snapshot } from "../../src/index.ts";
import type { CloneParams } from "../../src/index.ts";
import { claimContainer } from "../../src/lxc/claim.ts";
import { assertNothingHalfMade, FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";
import type { TestHost } from "./support.ts";

const PAST = "2001-02-03T04:05:06Z";
const FUTURE = "2999-01-01T00:00:00Z";

const names = async (at: TestHost, params?: Parameters<typeof list>[1]): Promise<string[]> =>
  (await list(at.context, params)).map(({ name }) => name);

/** A base, and an ephemeral clone of it, `job`. */
async function hostWithJob(params: Partial<CloneParams> = {}): Promise<TestHost> {
  const at = await openTestHost();
  await importLayer(at.context, { source: at.source, name: "base" });
  await create(at.context, { source: "base", name: "web", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  await clone(at.context, { ref: "web", names: ["job"], lxcPath: at.lxcPath, ephemeral: true, ...params });
  return at;
}

/** As a start, and a stop in which no hook ran, leave it. */
async function runJob(at: TestHost): Promise<void> {
  await runContainer(at.context, "job", (upper) => writeFileSync(`${upper}/new`, "new"));
}

test("ephemeral: one that ran and stopped is gone by its hook, with directory, record and snapshots", async () => {
  await using at = await hostWithJob();
  const { context, lxcPath } = at;
  assert.equal((await show(context, { ref: "job" })).container?.ephemeral, true);
  await snapshot(context, { name: "job" });
  await startContainer(context, "job");
  await postStop(context, hookParams(at));
  assert.deepEqual(await names(at), ["job", "web", "base"], "a start that did not come to its mount");
  await runJob(at);
  await postStop(context, hookParams(at));
  assert.deepEqual(await names(at), ["web", "base"]);
  assert.deepEqual(readdirSync(lxcPath), ["web"]);
  assert.equal(at.store.refs.find("job@snap0"), undefined);
  assertNothingHalfMade(at, lxcPath);
});

test("ephemeral: one that stopped without its hook is gone for the next who lists, opens, clones, or wants its name", async () => {
  for (const look of [
    async (at: TestHost) => assert.deepEqual(await names(at), ["web", "base"]),
    async (at: TestHost) => assert.deepEqual(await names(at, { only: "layers" }), ["base"]),
    (at: TestHost) => assert.rejects(show(at.context, { ref: "job" }), { code: "NOT_FOUND" }),
    (at: TestHost) =>
      assert.rejects(clone(at.context, { ref: "job", names: ["x"], noLxc: true }), { code: "NOT_FOUND" }),
    (at: TestHost) => remove(at.context, { names: ["job"] }),
    (at: TestHost) => clone(at.context, { ref: "base", names: ["other"], noLxc: true, ephemeral: true }),
    (at: TestHost) => clone(at.context, { ref: "base", names: ["job"], noLxc: true }),
    (at: TestHost) => create(at.context, { source: "base", name: "job", noLxc: true }),
  ]) {
    await using at = await hostWithJob();
    await runJob(at);
    await look(at);
    assert.ok(!at.store.refs.has("job", at.lxcPath));
    assert.deepEqual(readdirSync(at.lxcPath), ["web"], look.toString());
    assertNothingHalfMade(at, at.lxcPath);
  }
});

test("ephemeral: one that was never started stays until it has expired, as does one whose directory is not there", async () => {
  await using at = await hostWithJob({ names: ["job", "away"], expires: FUTURE });
  const { context, lxcPath } = at;
  rmSync(`${lxcPath}/away`, { recursive: true });
  assert.deepEqual(await names(at), ["away", "job", "web", "base"]);
  for (const name of ["away", "job"])
    assert.equal((await show(context, { ref: name })).container?.expires?.slice(0, 4), "2999");
  await clone(context, { ref: "web", names: ["late"], lxcPath, ephemeral: true, expires: PAST });
  await clone(context, { ref: "web", names: ["lost"], lxcPath, ephemeral: true, expires: PAST });
  renameSync(`${lxcPath}/lost`, `${at.path}/lost`);
  await clone(context, { ref: "web", names: ["plain"], noLxc: true, ephemeral: true, expires: PAST });
  assert.deepEqual(await names(at), ["away", "job", "web", "base"]);
  assert.deepEqual(readdirSync(lxcPath), ["job", "web"]);
});

test("ephemeral: one that somebody has claimed is left to them", async () => {
  await using at = await hostWithJob();
  await runJob(at);
  {
    using _claim = claimContainer(`${at.lxcPath}/job`);
    assert.deepEqual(await names(at), ["job", "web", "base"]);
  }
  assert.ok(existsSync(`${at.lxcPath}/job/delta0/new`));
});

test("ephemeral: what a clone of one or of its original becomes is nobody's but its own", async () => {
  await using at = await hostWithJob();
  await clone(at.context, { ref: "job", names: ["kept"], lxcPath: at.lxcPath });
  await runJob(at);
  assert.deepEqual(await names(at), ["kept", "web", "base"]);
  assert.equal((await show(at.context, { ref: "kept" })).container?.ephemeral, false);
});

test("expires: those whose time is over are listed and removed by it, alone or with labels; nothing goes by itself", async () => {
  await using at = await openTestHost();
  const { context } = at;
  await importLayer(context, { source: at.source, name: "base" });
  const make = (name: string, expires: string | undefined, ci: string): Promise<unknown> =>
    clone(context, { ref: "base", names: [name], noLxc: true, labels: { ci }, ...(expires && { expires }) });
  await make("old1", PAST, "1");
  await make("old2", PAST, "2");
  await make("young1", FUTURE, "1");
  await make("ageless1", undefined, "1");
  await create(context, { source: at.source, name: "made", noLxc: true, expires: PAST });
  assert.equal((await names(at)).length, 6);
  assert.deepEqual(await names(at, { expired: true }), ["made", "old1", "old2"]);
  assert.deepEqual(await names(at, { expired: true, labels: ["ci=1"] }), ["old1"]);
  assert.deepEqual(await remove(context, { names: ["old1", "old2"], dryRun: true }), { removed: ["old1", "old2"] });
  assert.deepEqual(await names(at, { expired: true }), ["made", "old1", "old2"]);
  await remove(context, { names: await names(at, { expired: true }) });
  assert.deepEqual(await names(at), ["ageless1", "young1", "base"]);
  await assert.rejects(make("x", "soon", ""), { code: "USAGE" });
  assert.equal((await show(context, { ref: "young1" })).container?.expires, "2999-01-01T00:00:00.000000000Z");
});

function hookParams({ lxcPath }: TestHost): { configFile: string; rootfsPath: string } {
  return { configFile: `${lxcPath}/job/config`, rootfsPath: "" };
}
