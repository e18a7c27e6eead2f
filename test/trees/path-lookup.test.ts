import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errnoOf } from "../../src/errors.ts";
import type { RawChange } from "../../src/model/change.ts";
import { parentPath } from "../../src/model/name.ts";
import { IMPLIED_DIRECTORY } from "../../src/model/node.ts";
import type { NodeType } from "../../src/model/node.ts";
import { lookupPath } from "../../src/trees/path-lookup.ts";
import { openEngine } from "../support/engine.ts";
import { build } from "./support.ts";

interface Named {
  readonly type: NodeType;
  readonly target?: string;
}

/** One step on a string at a time, as path_resolution(7) tells it. */
function resolveNaively(names: ReadonlyMap<string, Named>, path: string): string {
  let at = "";
  let rest = path;
  let followed = 0;
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
    if (found.type !== "symlink") {
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

test("path lookup: it finds what a step-by-step resolution finds, or fails with the same errno", async () => {
  await using engine = await openEngine();
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 12 }), fc.array(anyPath, { maxLength: 8 }), (entries, paths) => {
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
      for (const path of paths) {
        let found: string;
        try {
          const { path: at, node } = lookupPath(engine.trees, tree, path);
          assert.deepEqual(node, engine.trees.lookup(tree, at));
          found = `/${at}`;
        } catch (error) {
          found = errnoOf(error) ?? String(error);
        }
        assert.equal(found, resolveNaively(names, path), path);
      }
    }),
    { numRuns: 1000 },
  );
});

function allNames(depth: number): string[] {
  if (depth === 0) return [];
  const below = allNames(depth - 1);
  return ["a", "b", "c"].flatMap((first) => [first, ...below.map((rest) => `${first}/${rest}`)]);
}

test("path lookup: 40 symlinks are followed, the 41st is ELOOP", async () => {
  await using engine = await openEngine();
  const links = Array.from({ length: 41 }, (_, i): RawChange => {
    return { kind: "put", path: `l${i + 1}`, node: { type: "symlink", ...IMPLIED_DIRECTORY, target: `l${i}` } };
  });
  const end: RawChange = { kind: "put", path: "l0", node: { type: "fifo", ...IMPLIED_DIRECTORY } };
  const { tree } = build(engine.trees, [end, ...links]);
  assert.equal(lookupPath(engine.trees, tree, "l40").path, "l0");
  assert.throws(() => lookupPath(engine.trees, tree, "l41"), { code: "ELOOP" });
});

test("path lookup: a name of 256 bytes is ENAMETOOLONG, and 10 000 levels down and up again are no trouble", async () => {
  await using engine = await openEngine();
  const deep = Array.from({ length: 10_000 }, () => "d").join("/");
  const { tree } = build(engine.trees, [
    { kind: "put", path: deep, node: { type: "directory", ...IMPLIED_DIRECTORY } },
  ]);
  assert.throws(() => lookupPath(engine.trees, tree, "n".repeat(256)), { code: "ENAMETOOLONG" });
  const start = performance.now();
  assert.equal(lookupPath(engine.trees, tree, deep).path, deep);
  assert.equal(lookupPath(engine.trees, tree, `${deep}/${"../".repeat(10_000)}${deep}/..`).path, deep.slice(0, -2));
  assert.ok(performance.now() - start < 5000);
});
