import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { escapeXattr, overlayXattr } from "../../src/format/overlay-xattrs.ts";
import type { RawChange, RawNode } from "../../src/model/change.ts";
import type { TreePath } from "../../src/model/name.ts";
import { EMPTY_CONTENT, IMPLIED_DIRECTORY, type Metadata, type Xattr } from "../../src/model/node.ts";
import { deltaChanges } from "../../src/sources/delta.ts";
import { DeltaMarks } from "../../src/sources/delta-marks.ts";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { MemoryContent } from "../support/memory-content.ts";
import { isRoot } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { collected } from "./fold.ts";

const BOOKKEEPING = ["origin", "impure", "uuid", "protattr", "upper"];

test("delta marks: a file's own xattrs come through, whatever they are called; bookkeeping does not", () => {
  const names = fc.oneof(
    fc.constantFrom("user.a", "trusted.overlay.opaque", "trusted.overlay.overlay.x", "user.overlay.redirect"),
    fc.string().map((text) => `trusted.overlay.${text}`),
  );
  const own = fc.uniqueArray(fc.record({ name: names, value: fc.uint8Array() }, { noNullPrototype: true }), {
    selector: ({ name }) => name,
  });
  fc.assert(
    fc.property(own, fc.subarray(BOOKKEEPING), fc.constantFrom("trusted", "user"), (xattrs, kept, dialect) => {
      const written = [
        ...xattrs.map(({ name, value }) => ({ name: escapeXattr(dialect, name), value })),
        ...kept.map((mark) => ({ name: overlayXattr(dialect, mark), value: new Uint8Array(9) })),
      ];
      const sorted = [...xattrs].sort((a, b) => (a.name < b.name ? -1 : 1));
      assert.deepEqual(new DeltaMarks("", dialect).interpret(directory("a", written)), [directory("a", sorted)]);
    }),
  );
});

test("delta marks: device 0:0 is a whiteout, and so are all its further names; other devices are themselves", () => {
  const other = put("c/null", { type: "character", ...metadata(), major: 1, minor: 3 });
  const further: RawChange = { kind: "link", path: "d/null", target: "c/null" };
  assert.deepEqual(
    interpreted(
      put("a", { type: "character", ...metadata(), major: 0, minor: 0 }),
      { kind: "link", path: "b/x", target: "a" },
      other,
      further,
      put("e", { type: "block", ...metadata(), major: 0, minor: 0 }),
    ).map(({ kind, path }) => `${kind} ${path}`),
    ["whiteout a", "whiteout b/x", "put c/null", "link d/null", "put e"],
  );
});

test("delta marks: an empty file marked as whiteout is one in a directory marked with x alone", () => {
  const whiteout = mark("whiteout", "");
  assert.deepEqual(
    interpreted(
      directory("x", [mark("opaque", "x")]),
      file("x/hidden", [whiteout]),
      file("x/shown"),
      directory("x/below"),
      file("x/below/shown", [whiteout]),
      put("x/full", { type: "file", ...metadata([whiteout]), content: { size: 1, sparse: false, root: null } }),
    ).map(({ kind, path }) => `${kind} ${path}`),
    ["put x", "whiteout x/hidden", "put x/shown", "put x/below", "put x/below/shown", "put x/full"],
  );
});

test("delta marks: opaque and redirect follow their directory's put; on the delta's root they mean nothing", () => {
  assert.deepEqual(
    interpreted(
      directory("", [mark("opaque", "y"), mark("redirect", "/a")]),
      directory("o", [mark("opaque", "y"), mark("redirect", "/a")]),
      directory("r", [mark("redirect", "/a/b")]),
    ),
    [directory(""), directory("o"), opaque("o"), directory("r"), redirect("r", "a/b")],
  );
});

test("delta marks: a relative redirect is a name in what its parent merges with", () => {
  assert.deepEqual(
    redirects(
      directory("p", [mark("redirect", "q")]),
      directory("p/new"),
      directory("p/new/r", [mark("redirect", "old")]),
      directory("p/new/r/s", [mark("redirect", "/else/where")]),
      directory("p/new/r/s/t", [mark("redirect", "u")]),
      directory("opaque", [mark("opaque", "y")]),
      directory("opaque/a", [mark("redirect", "b")]),
      directory("opaque/a/c", [mark("redirect", "/d")]),
    ),
    [
      ["p", "q"],
      ["p/new/r", "q/new/old"],
      ["p/new/r/s", "else/where"],
      ["p/new/r/s/t", "else/where/u"],
      ["opaque/a/c", "d"],
    ],
  );
});

test("delta marks: a metacopy file has its data where its name, or its redirect, is in the base", () => {
  const metacopy = mark("metacopy", "");
  const changes = interpreted(
    directory("p", [mark("redirect", "/q/r")]),
    file("p/same", [metacopy]),
    file("p/renamed", [metacopy, mark("redirect", "old")]),
    file("p/moved", [metacopy, mark("redirect", "/x/y")]),
    file("plain", [mark("redirect", "/x/y")]),
  );
  assert.deepEqual(
    changes.flatMap((change) => (change.kind === "put" && change.node.type === "file" ? [change.node.content] : [])),
    [{ base: "q/r/same" }, { base: "q/r/old" }, { base: "x/y" }, EMPTY_CONTENT],
  );
});

for (const [what, code, ...changes] of [
  [
    "data in a lower that the directory hides",
    "SOURCE_INVALID",
    directory("o", [mark("opaque", "y")]),
    file("o/f", [mark("metacopy", "")]),
  ],
  ["a redirect to ..", "SOURCE_INVALID", directory("r", [mark("redirect", "/a/../b")])],
  ["a relative redirect with a slash", "SOURCE_INVALID", directory("r", [mark("redirect", "a/b")])],
  ["an empty redirect", "SOURCE_INVALID", directory("r", [mark("redirect", "")])],
  ["a hard link of index=on", "UNSUPPORTED", file("f", [mark("nlink", "U+1")])],
] as const) {
  test(`delta marks: ${what} is refused`, () => {
    assert.throws(() => interpreted(...changes), { code });
  });
}

test("delta source: it reads a delta of a mount with userxattr without privileges", async (t) => {
  await using temporary = await temporaryDirectory();
  const { path } = temporary;
  mkdirSync(`${path}/opaque`);
  mkdirSync(`${path}/moved`);
  writeFileSync(`${path}/opaque/new`, "new");
  {
    using root = DirectoryHandle.open(path);
    try {
      root.makeNode("gone", "character", 0, 0, 0);
    } catch {
      return t.skip("this kernel lets no user make whiteouts");
    }
    root.link("gone", root, "gone-too");
    root.setXattr("opaque", "user.overlay.opaque", Buffer.from("y"));
    root.setXattr("moved", "user.overlay.redirect", Buffer.from("from"));
    root.setXattr("moved", "user.overlay.overlay.opaque", Buffer.from("y"));
  }
  const content = new MemoryContent();
  const changes = await collected(deltaChanges(path, content.writer(), { dialect: "user" }));
  assert.deepEqual(changes.map(({ kind, path: at }) => `${kind} ${at}`).sort(), [
    "opaque opaque",
    "put ",
    "put moved",
    "put opaque",
    "put opaque/new",
    "redirect moved",
    "whiteout gone",
    "whiteout gone-too",
  ]);
  const moved = changes.find((change) => change.kind === "put" && change.path === "moved");
  assert.ok(moved?.kind === "put");
  assert.deepEqual(
    moved.node.xattrs.map(({ name }) => name),
    ["user.overlay.opaque"],
  );
});

test("delta source: where trusted.* cannot be seen, a delta with such marks is not read as one without", async () => {
  await using temporary = await temporaryDirectory();
  if (isRoot()) process.seteuid?.(65534);
  try {
    await assert.rejects(collected(deltaChanges(temporary.path, new MemoryContent().writer())), {
      code: "NOT_PERMITTED",
    });
  } finally {
    if (isRoot() || process.getuid?.() === 0) process.seteuid?.(0);
  }
});

function interpreted(...changes: readonly RawChange[]): RawChange[] {
  const marks = new DeltaMarks("/delta", "trusted");
  return changes.flatMap((change) => marks.interpret(change));
}

function redirects(...changes: readonly RawChange[]): (readonly [TreePath, TreePath])[] {
  return interpreted(...changes).flatMap((change) =>
    change.kind === "redirect" ? [[change.path, change.from] as const] : [],
  );
}

function mark(name: string, value: string): Xattr {
  return { name: overlayXattr("trusted", name), value: Buffer.from(value) };
}

function metadata(xattrs: readonly Xattr[] = []): Metadata {
  return { ...IMPLIED_DIRECTORY, xattrs };
}

function put(path: TreePath, node: RawNode): RawChange {
  return { kind: "put", path, node };
}

function directory(path: TreePath, xattrs: readonly Xattr[] = []): RawChange {
  return put(path, { type: "directory", ...metadata(xattrs) });
}

function file(path: TreePath, xattrs: readonly Xattr[] = []): RawChange {
  return put(path, { type: "file", ...metadata(xattrs), content: EMPTY_CONTENT });
}

function opaque(path: TreePath): RawChange {
  return { kind: "opaque", path };
}

function redirect(path: TreePath, from: TreePath): RawChange {
  return { kind: "redirect", path, from };
}
