import assert from "node:assert/strict";
import { constants } from "node:fs";
import { test } from "node:test";
import { clone, commit, openContainer } from "../../src/index.ts";
import { importEmpty } from "./support.ts";
import { openTestStore } from "../support/store.ts";

type View = Awaited<ReturnType<typeof openContainer>>;

const ENTRIES = 100_000;
const AT_ONCE = 1000;

test("listing: 100 000 entries of the upper, and then of the lower, show as they were, whatever is done to them meanwhile", async () => {
  await using opened = await openTestStore();
  const { context } = opened;
  await importEmpty(opened, "base");
  await clone(context, { ref: "base", names: ["upper"], noLxc: true });
  {
    await using view = await openContainer(context, { name: "upper" });
    await view.promises.mkdir("/d");
    await everyOf(ENTRIES, (i) => view.promises.mknod(`/d/${nameOf(i)}`, constants.S_IFIFO | 0o600));
    await commit(context, { name: "upper", layer: "many" });
    await assertOneState(view);
  }
  await clone(context, { ref: "many", names: ["lower"], noLxc: true });
  await using view = await openContainer(context, { name: "lower" });
  await assertOneState(view);
});

/** Two listings at a time: one from before the changes, and one that begins halfway. */
async function assertOneState(view: View): Promise<void> {
  const { promises } = view;
  const before = await promises.readdir("/d");
  assert.equal(before.length, ENTRIES);
  const first = await promises.opendir("/d");
  const seen = [(await first.read())?.name];
  await everyOf(ENTRIES / 20, async (i) => {
    await promises.unlink(`/d/${nameOf(i * 20)}`);
    await promises.rename(`/d/${nameOf(i * 20 + 1)}`, `/d/renamed-${i}`);
    await promises.rename(`/d/${nameOf(i * 20 + 3)}`, `/d/${nameOf(i * 20 + 2)}`);
    await promises.mknod(`/d/new-${i}`, constants.S_IFIFO | 0o600);
  });
  const between = await promises.readdir("/d");
  const second = await promises.opendir("/d");
  const seenSecond = [(await second.read())?.name];
  await everyOf(ENTRIES / 20, (i) => promises.unlink(`/d/new-${i}`));
  await promises.rename("/d", "/moved");
  for await (const { name } of first) seen.push(name);
  for await (const { name } of second) seenSecond.push(name);
  assert.deepEqual(seen, before);
  assert.deepEqual(seenSecond, between);
  const expected = new Set(before);
  for (let i = 0; i < ENTRIES / 20; i++) {
    for (const k of [0, 1, 3]) expected.delete(nameOf(i * 20 + k));
    expected.add(`renamed-${i}`);
  }
  assert.deepEqual(await promises.readdir("/moved"), [...expected].sort());
}

function nameOf(i: number): string {
  return `file${i}`;
}

async function everyOf(count: number, call: (i: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => call(from + i)));
}
