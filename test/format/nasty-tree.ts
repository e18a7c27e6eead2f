import { digestOf } from "../../src/format/blake3.ts";
import type { RawChange } from "../../src/model/change.ts";
import type { Content, Metadata } from "../../src/model/node.ts";

const metadata: Metadata = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 1_700_000_000, mtimeNsec: 1, xattrs: [] };
const extreme: Metadata = {
  mode: 0o7777,
  uid: 4_000_000_000,
  gid: 2 ** 32 - 1,
  mtimeSec: -(2 ** 40),
  mtimeNsec: 999_999_999,
  xattrs: [
    { name: "security.capability", value: Uint8Array.of(1, 0, 0, 2, 255) },
    { name: "trusted.overlay.opaque", value: Uint8Array.of(0x79) },
    { name: "user.big", value: new Uint8Array(60_000).fill(7) },
    { name: "user.empty", value: new Uint8Array() },
  ],
};

function content(text: string, size = text.length, sparse = false): Content {
  return { size, sparse, root: digestOf(Buffer.from(text)) };
}

/** A tree with something of everything, directory and link table in several pages, the same for good. */
export function* nastyChanges(): Generator<RawChange> {
  yield { kind: "put", path: "", node: { type: "directory", ...extreme } };
  const names = ["-rf", ".wh.x", "\n", "\xff\xfe", "n".repeat(255), "a", "a.b", "a b"];
  for (const [i, name] of names.entries()) {
    yield { kind: "put", path: `names/${name}`, node: { type: "file", ...metadata, content: content(`${i}`) } };
    yield { kind: "put", path: `directories/${name}`, node: { type: "directory", ...metadata, mode: 0 } };
  }
  yield {
    kind: "put",
    path: "sparse",
    node: { type: "file", ...extreme, content: content("pages", 5 * 2 ** 30, true) },
  };
  yield {
    kind: "put",
    path: "hole",
    node: { type: "file", ...metadata, content: { size: 4096, sparse: true, root: null } },
  };
  yield {
    kind: "put",
    path: "empty",
    node: { type: "file", ...extreme, content: { size: 0, sparse: false, root: null } },
  };
  yield { kind: "put", path: "symlink", node: { type: "symlink", ...extreme, target: "t".repeat(4095) } };
  yield { kind: "put", path: "null", node: { type: "character", ...extreme, major: 1, minor: 3 } };
  yield { kind: "put", path: "not a whiteout", node: { type: "character", ...metadata, major: 0, minor: 0 } };
  yield { kind: "put", path: "disk", node: { type: "block", ...metadata, major: 4095, minor: 1_048_575 } };
  yield { kind: "put", path: "fifo", node: { type: "fifo", ...metadata, mtimeSec: 2 ** 33 } };
  yield { kind: "put", path: "socket", node: { type: "socket", ...metadata } };
  for (const name of ["fifo", "symlink", "null", "empty"]) yield { kind: "link", path: `links/${name}`, target: name };
  for (let i = 0; i < 1000; i++) {
    const path = `many/${i}`;
    yield { kind: "put", path, node: { type: "file", ...metadata, content: content(`${i}`) } };
    yield { kind: "link", path: `other/${i}`, target: path };
  }
  yield { kind: "put", path: "d/".repeat(2_100) + "deep", node: { type: "fifo", ...metadata } };
}
