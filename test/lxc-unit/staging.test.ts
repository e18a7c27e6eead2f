import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { parseConfig } from "../../src/lxc/config-file.ts";
import { makeContainerDirectory } from "../../src/lxc/container-directory.ts";
import { recoverStagings, Staging } from "../../src/lxc/staging.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** A registry, an LXC path, and the names that the store has. */
async function host() {
  const temporary = await temporaryDirectory();
  const registry = `${temporary.path}/staging`;
  const lxcPath = `${temporary.path}/lxc`;
  for (const path of [registry, lxcPath]) mkdirSync(path);
  const names = new Set<string>();
  const known = { has: (name: string, path: string) => path === lxcPath && names.has(name) };
  const make = (parent: string, name: string) => {
    const config = parseConfig(`lxc.uts.name = ${name}\nlxc.rootfs.path = overlay:/e/a:${lxcPath}/${name}/delta0\n`);
    makeContainerDirectory(parent, { name, config, exportPath: "/e/a", delta: { pending: 1 } });
    writeFileSync(`${parent}/${name}/made-as`, name);
  };
  /** What lies in the LXC path: its name, what its config says, and what it was made as. */
  const found = () =>
    readdirSync(lxcPath)
      .sort()
      .map((name) => {
        const config = readFileSync(`${lxcPath}/${name}/config`, "utf8");
        const madeAs = readFileSync(`${lxcPath}/${name}/made-as`, "utf8");
        const isNamed = config.includes(`lxc.uts.name = ${name}\n`) && config.includes(`${lxcPath}/${name}/delta0\n`);
        return `${name} ${madeAs} ${isNamed ? "named so" : "named otherwise"}`;
      });
  const clear = () => {
    for (const path of [registry, lxcPath]) {
      for (const name of readdirSync(path)) rmSync(`${path}/${name}`, { recursive: true });
    }
    names.clear();
  };
  const dispose = () => temporary[Symbol.asyncDispose]();
  return { registry, lxcPath, names, known, make, found, clear, [Symbol.asyncDispose]: dispose };
}

test("staging: what was made and recorded gets into place, and nothing else is left", async () => {
  await using at = await host();
  {
    using staging = Staging.begin(at.registry, at.lxcPath, at.known);
    for (const name of ["a", "b"]) at.make(staging.directory, name);
    assert.equal(readdirSync(at.registry).length, 1);
    staging.sync();
    for (const name of ["a", "b"]) at.names.add(name);
    staging.publish("a");
  }
  assert.deepEqual(at.found(), ["a a named so", "b b named so"]);
  assert.deepEqual(readdirSync(at.registry), []);
});

test("staging: what was not recorded is gone, or back where it was", async () => {
  await using at = await host();
  for (const name of ["kept", "renamed"]) {
    at.make(at.lxcPath, name);
    at.names.add(name);
  }
  {
    using staging = Staging.begin(at.registry, at.lxcPath, at.known);
    at.make(staging.directory, "new");
    assert.equal(staging.takeAway("kept"), true);
    assert.equal(staging.takeAwayAs("renamed", "other"), true);
    assert.equal(staging.takeAway("nowhere"), false);
    assert.equal(staging.takeAwayAs("nowhere", "new"), false);
  }
  assert.deepEqual(at.found(), ["kept kept named so", "renamed renamed named so"]);
  assert.deepEqual(readdirSync(at.registry), []);
});

/** The steps of each command, in order; "record" changes the store. */
const COMMANDS = {
  create: ["begin", "make", "sync", "record", "publish", "dispose"],
  remove: ["begin", "takeAway", "sync", "record", "dispose"],
  rename: ["begin", "takeAwayAs", "sync", "record", "publish", "dispose"],
} as const;

test("staging: killed after any step, a command has happened or has not, and recovery twice is recovery once", async () => {
  await using at = await host();
  const commands = fc.constantFrom<keyof typeof COMMANDS>("create", "remove", "rename");
  fc.assert(
    fc.property(commands, fc.nat({ max: 6 }), (command, count) => {
      at.clear();
      if (command !== "create") {
        at.make(at.lxcPath, "old");
        at.names.add("old");
      }
      const steps: readonly string[] = COMMANDS[command].slice(0, count);
      const [before, after] = {
        create: [[], ["new new named so"]],
        remove: [["old old named so"], []],
        rename: [["old old named so"], ["new old named so"]],
      }[command];
      let staging: Staging | undefined;
      const act: Record<string, () => unknown> = {
        begin: () => (staging = Staging.begin(at.registry, at.lxcPath, at.known)),
        make: () => at.make(staging!.directory, "new"),
        takeAway: () => staging!.takeAway("old"),
        takeAwayAs: () => staging!.takeAwayAs("old", "new"),
        sync: () => staging!.sync(),
        record: () => {
          at.names.delete("old");
          if (command !== "remove") at.names.add("new");
        },
        publish: () => staging!.publish("new"),
        dispose: () => staging![Symbol.dispose](),
      };
      for (const step of steps) act[step]!();
      for (let i = 0; i < 2; i++) {
        assert.deepEqual(recoverStagings(at.registry, at.known), []);
        assert.deepEqual(at.found(), steps.includes("record") ? after : before);
        assert.deepEqual(readdirSync(at.registry), []);
      }
    }),
    { numRuns: 60 },
  );
});

test("staging: a kill in the middle of a rename's end is recovered too", async () => {
  await using at = await host();
  at.make(at.lxcPath, "old");
  const staging = Staging.begin(at.registry, at.lxcPath, at.known);
  staging.takeAwayAs("old", "new");
  at.names.add("new");
  // The config is rewritten, but the directory not yet moved.
  const config = `${staging.directory}/new/config`;
  writeFileSync(config, readFileSync(config, "utf8").replaceAll("old", "new"));
  assert.deepEqual(recoverStagings(at.registry, at.known), []);
  assert.deepEqual(at.found(), ["new old named so"]);
  staging[Symbol.dispose]();
});

test("staging: nothing is ever replaced or lost: what has no place stays until there is one", async () => {
  await using at = await host();
  {
    using staging = Staging.begin(at.registry, at.lxcPath, at.known);
    at.make(staging.directory, "web");
    at.names.add("web");
    mkdirSync(`${at.lxcPath}/web`);
    writeFileSync(`${at.lxcPath}/web/config`, "the user's");
    assert.throws(() => staging.publish("web"), { code: "EXISTS" });
  }
  const stuck = recoverStagings(at.registry, at.known);
  assert.equal(stuck.length, 1);
  assert.equal((stuck[0]!.error as { code: string }).code, "EXISTS");
  assert.equal(readFileSync(`${at.lxcPath}/web/config`, "utf8"), "the user's");
  rmSync(`${at.lxcPath}/web`, { recursive: true });
  assert.deepEqual(recoverStagings(at.registry, at.known), []);
  assert.deepEqual(at.found(), ["web web named so"]);
});

test("staging: an LXC path that is not there now is asked for again", async () => {
  await using at = await host();
  symlinkSync("/nonexistent/lxc/.delta0-0123456789abcdef", `${at.registry}/0123456789abcdef`);
  assert.equal(recoverStagings(at.registry, at.known).length, 1);
  assert.equal(readdirSync(at.registry).length, 1);
});

test("staging: a name that LXC could not mount is refused before anything is moved", async () => {
  await using at = await host();
  at.make(at.lxcPath, "old");
  at.names.add("old");
  using staging = Staging.begin(at.registry, at.lxcPath, at.known);
  assert.throws(() => staging.takeAwayAs("old", "a,b"), { code: "REFUSED" });
  assert.deepEqual(readdirSync(staging.directory), []);
});

for (const isRecorded of [false, true]) {
  test(`staging: of names that go from one container to another ${isRecorded ? "the new ones are in place once the store has them" : "nothing is seen until the store has them"}`, async () => {
    await using at = await host();
    const generations = new Map<string, number>([
      ["a", 1],
      ["b", 2],
    ]);
    const known = {
      has: (name: string, path: string, generation = 0) =>
        path === at.lxcPath && (generations.get(name) ?? -1) >= generation,
    };
    for (const name of generations.keys()) at.make(at.lxcPath, name);
    // A new "b" is made, the old one becomes "a", and the old "a" goes.
    const staging = Staging.begin(at.registry, at.lxcPath, known);
    for (const name of generations.keys()) staging.supersede(name, 3);
    assert.ok(staging.takeAway("a"));
    assert.ok(staging.takeAwayAs("b", "a"));
    at.make(staging.directory, "b");
    writeFileSync(`${staging.directory}/b/made-as`, "new");
    staging.sync();
    if (isRecorded) for (const name of generations.keys()) generations.set(name, 3);
    // One may be in its place already.
    if (isRecorded) staging.publish("a");
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(recoverStagings(at.registry, known), []);
      const [before, after] = [
        ["a a named so", "b b named so"],
        ["a b named so", "b new named so"],
      ];
      assert.deepEqual(at.found(), isRecorded ? after : before);
      assert.deepEqual(readdirSync(at.registry), []);
    }
    staging[Symbol.dispose]();
  });
}
