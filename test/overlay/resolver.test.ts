import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RawChange } from "../../src/model/change.ts";
import { comparePaths, parentPath } from "../../src/model/name.ts";
import { IMPLIED_DIRECTORY } from "../../src/model/node.ts";
import type { NodeType } from "../../src/model/node.ts";
import { LowerEntry } from "../../src/overlay/lower-entry.ts";
import { LowerTrees } from "../../src/overlay/lower-tree.ts";
import type { Resolved } from "../../src/overlay/resolver.ts";
import { Resolver } from "../../src/overlay/resolver.ts";
import { openEngine } from "../support/engine.ts";
import { flatten, namesOf, rawChanges } from "../support/random-tree.ts";
import { build } from "../trees/support.ts";

interface Named {
  readonly type: NodeType;
  readonly target?: string;
}

/** One step on a string at a time, as path_resolution(7) tells it. */
function resolveNaively(names: ReadonlyMap<string, Named>, path: string, follow: boolean): string {
  let at = "";
  let rest = path;
  let followed = 0;
  if (path === "") return "ENOENT";
  while (rest !== "") {
    if (at !== "" && names.get(at)?.type !== "directory") return "ENOTDIR";
    const [, slashes = "", name = "", more = ""] = /^(\/*)([^/]*)(.*)$/s.exec(rest) ?? [];
    // Slashes at the end ask for a directory, and so do slashes after a name: the check is at the next step.
    rest = name === "" ? "" : more;
    if (name === "" && slashes !== "") break;
    if (name === ".") continue;
    if (name === "..") {
      at = at === "" ? "" : parentPath(at);
      continue;
    }
    const next = at === "" ? name : `${at}/${name}`;
    const found = names.get(next);
    if (found === undefined) return "ENOENT";
    if (found.type !== "symlink" || (!follow && rest === "")) {
      at = next;
      continue;
    }
    if (++followed > 40) return "ELOOP";
    const target = found.target ?? "";
    rest = `${target}${rest}`;
    if (target.startsWith("/")) at = "";
  }
  return `/${at}`;
}

const name = fc.constantFrom("a", "b", "c", "..", ".");
const anyPath = fc
  .tuple(
    fc.constantFrom("", "/", "//"),
    fc.array(name, { minLength: 1, maxLength: 5 }),
    fc.constantFrom("", "", "/", "/."),
  )
  .map(([start, names, end]) => start + names.join("/") + end);
const entry = fc.record({
  path: fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 3 }).map((names) => names.join("/")),
  target: fc.oneof(fc.constantFrom("directory", "directory", "file"), anyPath),
});

test("resolver: it finds what a step-by-step resolution finds, or fails with the same errno; also when asked again", async () => {
  await using engine = await openEngine();
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 12 }),
      fc.array(anyPath, { maxLength: 8 }),
      fc.integer({ min: 1, max: 12 }),
      (entries, paths, maxEntries) => {
        const changes = entries.map(({ path, target }): RawChange => {
          if (target === "directory") return { kind: "put", path, node: { type: "directory", ...IMPLIED_DIRECTORY } };
          if (target === "file") return { kind: "put", path, node: { type: "fifo", ...IMPLIED_DIRECTORY } };
          return { kind: "put", path, node: { type: "symlink", ...IMPLIED_DIRECTORY, target } };
        });
        const { tree } = build(engine.trees, changes);
        const names = new Map<string, Named>();
        for (const path of allNames(3)) {
          const node = engine.trees.lookup(tree, path);
          if (node?.type === "symlink") names.set(path, { type: node.type, target: node.target });
          else if (node !== undefined) names.set(path, { type: node.type });
        }
        // So few entries that they are dropped on the way.
        const lower = new LowerTrees(engine.trees, maxEntries).get(tree.digest);
        const resolver = new Resolver(lower);
        for (const path of [...paths, ...paths]) {
          for (const follow of [true, false]) {
            const expected = resolveNaively(names, path, follow);
            const found = resolver.resolve(path, follow);
            assert.equal(typeof found === "string" ? found : found.path || "/", expected, path);
            const trace = resolver.trace(path, follow);
            assert.equal(typeof trace === "string" ? trace : `/${trace.names.join("/")}`, expected, path);
            if (typeof found !== "string")
              assert.deepEqual(lower.node(found), engine.trees.lookup(tree, found.path.slice(1)));
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});

function allNames(depth: number): string[] {
  if (depth === 0) return [];
  const below = allNames(depth - 1);
  return ["a", "b", "c"].flatMap((first) => [first, ...below.map((rest) => `${first}/${rest}`)]);
}

test("resolver: 40 symlinks are followed, the 41st is ELOOP", async () => {
  await using engine = await openEngine();
  const links = Array.from({ length: 41 }, (_, i): RawChange => {
    return { kind: "put", path: `l${i + 1}`, node: { type: "symlink", ...IMPLIED_DIRECTORY, target: `l${i}` } };
  });
  const end: RawChange = { kind: "put", path: "l0/l0", node: { type: "fifo", ...IMPLIED_DIRECTORY } };
  const { tree } = build(engine.trees, [end, ...links]);
  const resolver = new Resolver(new LowerTrees(engine.trees).get(tree.digest));
  assert.equal(pathOf(resolver.resolve("/l40", true)), "/l0");
  assert.equal(resolver.resolve("/l41", true), "ELOOP");
  assert.equal(resolver.resolve("/l40/../l1/l0", true), "ELOOP");
  assert.equal(pathOf(resolver.resolve("/l40/../l1", false)), "/l1");
});

function pathOf(resolved: Resolved): string | undefined {
  return typeof resolved === "string" ? resolved : resolved instanceof LowerEntry ? resolved.path : undefined;
}

test("resolver: names of 256 bytes and paths of 4096 are ENAMETOOLONG, one byte less is not", async () => {
  await using engine = await openEngine();
  const name = "n".repeat(255);
  const deep = Array.from({ length: 3000 }, () => "d").join("/");
  const { tree } = build(engine.trees, [
    { kind: "put", path: name, node: { type: "fifo", ...IMPLIED_DIRECTORY } },
    { kind: "put", path: deep, node: { type: "directory", ...IMPLIED_DIRECTORY } },
  ]);
  const resolver = new Resolver(new LowerTrees(engine.trees).get(tree.digest));
  assert.equal(pathOf(resolver.resolve(`/${name}`, true)), `/${name}`);
  assert.equal(resolver.resolve(`/${name}n`, true), "ENAMETOOLONG");
  assert.equal(resolver.resolve(`/missing/${name}n`, true), "ENOENT");
  assert.equal(resolver.resolve(`/${name}/${name}n`, true), "ENOTDIR");
  // 2 bytes a name: the first is too long by its bytes, not by its characters.
  assert.equal(resolver.resolve(`/${"ä".repeat(128)}`, true), "ENAMETOOLONG");
  assert.equal(resolver.resolve(`/${"ä".repeat(127)}`, true), "ENOENT");
  const long = `/${"d/".repeat(2047)}`;
  assert.equal(long.length, 4095);
  assert.equal(pathOf(resolver.resolve(long, true)), long.slice(0, -1));
  assert.equal(resolver.resolve(`${long}d`, true), "ENAMETOOLONG");
  assert.equal(pathOf(resolver.resolve(`${"../".repeat(1000)}d`, true)), "/d");
});

test("resolver: a name that is latin1 in the tree is not the text that looks like it", async () => {
  await using engine = await openEngine();
  const { tree } = build(engine.trees, [
    { kind: "put", path: "\xe4", node: { type: "fifo", ...IMPLIED_DIRECTORY } },
    { kind: "put", path: "\xc3\xb6", node: { type: "fifo", ...IMPLIED_DIRECTORY } },
  ]);
  const resolver = new Resolver(new LowerTrees(engine.trees).get(tree.digest));
  for (let i = 0; i < 2; i++) {
    assert.equal(resolver.resolve("/ä", true), "ENOENT");
    assert.equal(pathOf(resolver.resolveBytes("/\xe4", true)), "/\xe4");
    assert.equal(pathOf(resolver.resolve("/ö", true)), "/\xc3\xb6");
    assert.equal(resolver.resolve("/\xc3\xb6", true), "ENOENT");
  }
});

test("lower tree: inode numbers are places in canonical order, of hard links that of the first name", async () => {
  await using engine = await openEngine();
  fc.assert(
    fc.property(rawChanges(), (changes) => {
      const { tree } = build(engine.trees, changes);
      const model = flatten(engine.trees, tree);
      const paths = [...model.keys()].sort(comparePaths);
      const lower = new LowerTrees(engine.trees, 5).get(tree.digest);
      for (const path of paths) {
        const found = new Resolver(lower).resolveBytes(`/${path}`, false);
        assert.ok(typeof found !== "string");
        const names = namesOf(model, path);
        assert.equal(lower.inode(found), paths.indexOf(names[0] ?? "") + 1, path);
        assert.equal(lower.links(found), names.length);
      }
    }),
    { numRuns: 200 },
  );
});

test("lower tree: a directory of many pages gives each name its place, and is listed in order", async () => {
  await using engine = await openEngine();
  const names = Array.from({ length: 3000 }, (_, i) => `file${i}`).sort();
  const { tree } = build(
    engine.trees,
    names.map((name) => ({ kind: "put", path: `d/${name}`, node: { type: "fifo", ...IMPLIED_DIRECTORY } })),
  );
  const lower = new LowerTrees(engine.trees, 700).get(tree.digest);
  const directory = lower.at("/d") ?? lower.find(lower.root, "d");
  assert.ok(directory);
  assert.ok(directory.leaves.length > 3);
  for (let i = 0; i < names.length; i += 37) {
    const found = lower.find(directory, names[i] ?? "");
    assert.equal(found && lower.inode(found), i + 3);
    assert.equal(lower.find(directory, `${names[i] ?? ""}!`), undefined);
  }
  assert.equal(lower.find(directory, "a"), undefined);
  assert.equal(lower.find(directory, "z"), undefined);
  const listed = [...lower.entries(directory)].flat().map(([name]) => name);
  assert.deepEqual(listed, names);
});
