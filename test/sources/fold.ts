import type { ContentWriter, RawChange, RawNode } from "../../src/model/change.ts";
import { comparePaths } from "../../src/model/name.ts";
import type { TreePath } from "../../src/model/name.ts";
import type { ManifestEntry } from "../support/compare.ts";

/** All changes of a source. */
export async function collected(batches: AsyncIterable<readonly RawChange[]>): Promise<RawChange[]> {
  const changes: RawChange[] = [];
  for await (const batch of batches) changes.push(...batch);
  return changes;
}

/** What puts and links make of nothing, in the plainest way: names of one file are one object. In tree order. */
export function folded(changes: Iterable<RawChange>): Map<TreePath, RawNode> {
  const nodes = new Map<TreePath, RawNode>();
  for (const change of changes) {
    if (change.kind === "put") {
      nodes.set(change.path, { ...change.node });
    } else {
      const target = change.kind === "link" ? nodes.get(change.target) : undefined;
      if (target === undefined) throw new Error(`no ${change.kind} can come here: ${change.path}`);
      nodes.set(change.path, target);
    }
  }
  return new Map([...nodes].sort(([a], [b]) => comparePaths(a, b)));
}

/** What manifest.py would say of these nodes, but for `sha256` and `blocks`. */
export function manifestOf(nodes: ReadonlyMap<TreePath, RawNode>): Map<string, ManifestEntry> {
  const firstPaths = new Map<RawNode, TreePath>();
  const entries = new Map<string, ManifestEntry>();
  for (const [path, node] of nodes) {
    const first = firstPaths.get(node) ?? path;
    firstPaths.set(node, first);
    entries.set(path, {
      path: base64(path),
      type: TYPES[node.type],
      mode: node.mode,
      uid: node.uid,
      gid: node.gid,
      mtime_ns: String(BigInt(node.mtimeSec) * 1_000_000_000n + BigInt(node.mtimeNsec)),
      xattrs: Object.fromEntries(
        node.xattrs.map(({ name, value }) => [base64(name), Buffer.from(value).toString("base64")]),
      ),
      ...(node.type !== "directory" && { link: base64(first) }),
      ...(node.type === "file" && "size" in node.content && { size: node.content.size }),
      ...(node.type === "symlink" && { target: base64(node.target) }),
      ...("major" in node && { rdev: `${node.major}:${node.minor}` }),
    });
  }
  return entries;
}

/** A writer that keeps no bytes: of the contents it gives, only sizes are right. */
export function sizesOnly(): ContentWriter {
  let size = 0;
  return {
    write(bytes) {
      size += bytes.length;
      return undefined;
    },
    hole(length) {
      size += length;
    },
    end() {
      const content = { size, sparse: false, root: null };
      size = 0;
      return content;
    },
  };
}

const TYPES: Readonly<Record<RawNode["type"], ManifestEntry["type"]>> = {
  file: "file",
  directory: "dir",
  symlink: "symlink",
  character: "char",
  block: "block",
  fifo: "fifo",
  socket: "socket",
};

function base64(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("base64");
}
