import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import {
  backup,
  capture,
  chmodFiles,
  clone,
  commit,
  create,
  importLayer,
  isStoreError,
  linkFiles,
  list,
  makeDirectories,
  moveFiles,
  pin,
  put,
  rebase,
  receive,
  reflog,
  remove,
  rename,
  reset,
  restore,
  retain,
  rollback,
  send,
  snapshot,
  squash,
  tag,
  undo,
  unlinkFiles,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { errnoOf } from "../../src/errors.ts";
import { assertNothingHalfMade, FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";
import type { TestHost } from "./support.ts";

const name = fc.constantFrom("a", "b", "c");
const layer = fc.constantFrom("base", "other");
const snap = fc.constantFrom("snap0", "snap1");
const command = fc.oneof(
  fc.record({ verb: fc.constant("import" as const), layer, text: fc.string({ maxLength: 3 }) }),
  { weight: 3, arbitrary: fc.record({ verb: fc.constant("create" as const), layer, name, isPlain: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("clone" as const), name, to: name, other: name }) },
  { weight: 3, arbitrary: fc.record({ verb: fc.constant("put" as const), name, text: fc.string({ maxLength: 3 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ verb: fc.constant("capture" as const), name, text: fc.string({ maxLength: 3 }) }),
  },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("commit" as const), name, layer }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("snapshot" as const), name }) },
  fc.record({ verb: fc.constant("rollback" as const), name, snap }),
  fc.record({ verb: fc.constant("reset" as const), name }),
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("rename" as const), name, to: name }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("remove" as const), name, other: name }) },
  fc.record({ verb: fc.constant("removeLayer" as const), layer }),
  fc.record({ verb: fc.constant("removeSnapshot" as const), name, snap }),
  fc.record({ verb: fc.constant("pin" as const), name, snap, pinned: fc.boolean() }),
  fc.record({ verb: fc.constant("retain" as const), name }),
  fc.record({ verb: fc.constant("squash" as const), layer }),
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("rebase" as const), name, layer }) },
  fc.record({ verb: fc.constant("restore" as const), name, to: name }),
  fc.record({ verb: fc.constant("receive" as const), name, to: name, replace: fc.boolean() }),
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constant("files" as const),
      name,
      call: fc.constantFrom("mkdir" as const, "chmod" as const, "unlink" as const, "mv" as const, "ln" as const),
    }),
  },
  fc.record({ verb: fc.constant("tag" as const), name, layer }),
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

test("undo: after any command names, contents and LXC directories are what they were, and after another undo what the command made of them", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 3, maxLength: 10 }), async (commands) => {
      await using at = await openHost();
      for (const one of commands) {
        const before = await observed(at);
        if (!(await isDone(at, one))) continue;
        const after = await observed(at);
        await undo(at.context);
        assert.deepEqual(await observed(at), before, `${JSON.stringify(one)} was taken back`);
        await undo(at.context);
        assert.deepEqual(await observed(at), after, `${JSON.stringify(one)} was taken back, and that, too`);
      }
      await assertStartsAsRecorded(at);
    }),
    { numRuns: 12 },
  );
});

test("undo N: takes any number of commands back in one step, whatever names they gave to what", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 3, maxLength: 10 }), fc.nat(), async (commands, choice) => {
      await using at = await openHost();
      const states: { entries: number; seen: unknown }[] = [];
      const remember = async (): Promise<void> => {
        const seen = await observed(at);
        states.push({ entries: await entriesOf(at), seen });
      };
      await remember();
      for (const one of commands) if (await isDone(at, one)) await remember();
      const last = states.at(-1)!;
      const target = states[choice % states.length]!;
      if (target === last) return;
      await undo(at.context, { count: last.entries - target.entries });
      assert.deepEqual(await observed(at), target.seen);
      assertNothingHalfMade(at, at.lxcPath);
      // Which leaves captures.
      if (choice % 2 === 0) return await assertStartsAsRecorded(at);
      if ((await entriesOf(at)) === last.entries) return assert.deepEqual(target.seen, last.seen);
      await undo(at.context);
      assert.deepEqual(await observed(at), last.seen, "and back");
      await assertStartsAsRecorded(at);
    }),
    { numRuns: 15, examples: EXAMPLES },
  );
});

/** What chance would rarely try: names that go from one container to another. */
const EXAMPLES: [Command[], number][] = [
  [
    [
      { verb: "remove", name: "a", other: "a" },
      { verb: "create", layer: "base", name: "a", isPlain: false },
      { verb: "put", name: "a", text: "x" },
    ],
    0,
  ],
  [
    [
      { verb: "rename", name: "a", to: "c" },
      { verb: "rename", name: "b", to: "a" },
      { verb: "put", name: "a", text: "x" },
      { verb: "rename", name: "c", to: "b" },
    ],
    0,
  ],
  [
    [
      { verb: "rename", name: "a", to: "c" },
      { verb: "commit", name: "c", layer: "other" },
      { verb: "create", layer: "other", name: "a", isPlain: true },
      { verb: "remove", name: "c", other: "b" },
      { verb: "clone", name: "a", to: "c", other: "b" },
    ],
    1,
  ],
];

async function openHost(): Promise<TestHost> {
  const at = await openTestHost();
  mkdirSync(`${at.path}/small`);
  writeFileSync(`${at.path}/small/text`, "first");
  await importLayer(at.context, { source: `${at.path}/small`, name: "base" });
  await create(at.context, { source: "base", name: "a", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  writeFileSync(`${at.lxcPath}/a/fstab`, "none /tmp tmpfs\n", { mode: 0o600 });
  await clone(at.context, { ref: "a", names: ["b"], lxcPath: at.lxcPath });
  return at;
}

/** Each command is one entry of the history, with what names were before and after. @returns false if it failed, or found nothing to do */
async function isDone(at: TestHost, one: Command): Promise<boolean> {
  const before = await entriesOf(at);
  const began = Date.now();
  const context = { ...at.context, command: `test ${one.verb}` };
  try {
    await done({ ...at, context }, one);
  } catch (error) {
    const codes = ["NOT_FOUND", "EXISTS", "USAGE"] as const;
    if (!codes.some((code) => isStoreError(error, code)) && errnoOf(error) === undefined) throw error;
    assert.equal(await entriesOf(at), before, `${one.verb} failed, and changed something`);
    return false;
  }
  if ((await entriesOf(at)) === before) return false;
  assert.equal(await entriesOf(at), before + 1, `${one.verb} is one entry`);
  const [entry] = await reflog(context, { limit: 1 });
  assert.equal(entry?.command, context.command);
  assert.ok(Date.parse(entry.time) >= began, `${one.verb} was at ${entry.time}`);
  assert.notDeepEqual(entry.changes, [], `${one.verb} has changed nothing`);
  return true;
}

async function done({ context, lxcPath, path }: TestHost, one: Command): Promise<unknown> {
  switch (one.verb) {
    case "import":
      writeFileSync(`${path}/small/text`, one.text);
      return await importLayer(context, { source: `${path}/small`, name: one.layer, replace: true });
    case "create": {
      const place = one.isPlain ? { noLxc: true } : { lxcPath, ...FOR_ANYBODY };
      return await create(context, { source: one.layer, name: one.name, ...place });
    }
    case "clone":
      return await clone(context, { ref: one.name, names: [...new Set([one.to, one.other])], lxcPath });
    case "put":
      writeFileSync(`${path}/text`, one.text);
      return await put(context, { sources: [`${path}/text`], target: `${one.name}:/text` });
    case "capture": {
      const [item] = await list(context, { pattern: one.name });
      if (item?.lxcDirectory == null) return undefined;
      await runContainer(context, one.name, (upper) => writeFileSync(`${upper}/text`, one.text));
      return await capture(context, { name: one.name });
    }
    case "commit":
      return await commit(context, { name: one.name, layer: one.layer, replace: true });
    case "snapshot":
      return await snapshot(context, { name: one.name });
    case "rollback":
      return await rollback(context, { name: one.name, snapshot: one.snap });
    case "reset":
      return await reset(context, { name: one.name });
    case "rename":
      return await rename(context, { from: one.name, to: one.to });
    case "remove":
      return await remove(context, { names: [one.name, one.other] });
    case "removeLayer":
      return await remove(context, { names: [one.layer] });
    case "removeSnapshot":
      return await remove(context, { names: [`${one.name}@${one.snap}`] });
    case "pin":
      return await pin(context, { refs: [`${one.name}@${one.snap}`], pinned: one.pinned });
    case "retain":
      return await retain(context, { names: [one.name], keepLast: 1 });
    case "squash":
      return await squash(context, { name: one.layer });
    case "rebase":
      return await rebase(context, { name: one.name, onto: one.layer, prefer: "ours" });
    case "restore": {
      const file = `${path}/backup`;
      rmSync(file, { force: true });
      await backup(context, { name: one.name, file });
      return await restore(context, { file, name: one.to, lxcPath });
    }
    case "receive": {
      const file = `${path}/stream`;
      rmSync(file, { force: true });
      await send(context, { refs: [one.name], file });
      return await receive(context, { file, as: one.to, replace: one.replace });
    }
    case "files":
      return await changeFiles(context, one.name, one.call);
    case "tag":
      return await tag(context, { ref: one.name, name: one.layer, replace: true });
  }
}

async function changeFiles(
  context: Context,
  name: string,
  call: "mkdir" | "chmod" | "unlink" | "mv" | "ln",
): Promise<unknown> {
  const [file, other] = [`${name}:/text`, `${name}:/other`];
  switch (call) {
    case "mkdir":
      return await makeDirectories(context, { paths: [other] });
    case "chmod":
      return await chmodFiles(context, { paths: [file], mode: "600" });
    case "unlink":
      return await unlinkFiles(context, { paths: [file] });
    case "mv":
      return await moveFiles(context, { paths: [file], target: other });
    case "ln":
      return await linkFiles(context, { targets: [file], path: other });
  }
}

async function entriesOf({ store }: Pick<Context, "store">): Promise<number> {
  for await (const { number } of store.refs.history()) return number + 1;
  return 0;
}

async function assertStartsAsRecorded({ context, lxcPath }: TestHost): Promise<void> {
  for (const { name, digest, lxcDirectory, state } of await list(context, { only: "containers" })) {
    if (lxcDirectory === null) continue;
    assert.equal(state, "stopped", name);
    await startContainer(context, name);
    mkdirSync(`${lxcPath}/${name}/work`);
    assert.equal((await capture(context, { name })).digest, digest, `${name} starts as another`);
  }
}

/** All that `ls` says, what stands in the records beside that, and what is in the LXC path but for uppers. */
async function observed({ context, store, lxcPath }: TestHost): Promise<unknown> {
  const items = await list(context);
  const refs: unknown[] = [];
  for (const [name, ref] of await store.refs.list((name, error) => assert.fail(`${name}: ${error.message}`)))
    refs.push([name, ref.type === "layer" ? ref : { ...ref, generation: 0 }]);
  const directories = readdirSync(lxcPath).sort();
  const files = directories.flatMap((name) =>
    ["config", "fstab"].map((file) => {
      try {
        return [name, file, readFileSync(`${lxcPath}/${name}/${file}`, "utf8")];
      } catch {
        return [name, file, null];
      }
    }),
  );
  return { items, refs, files };
}
