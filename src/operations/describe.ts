import type { Digest } from "../model/digest.ts";
import type { TreePath } from "../model/name.ts";
import type { Node, NodeType } from "../model/node.ts";
import type { Difference } from "../trees/renames.ts";
import type { Tree, TreeStore } from "../trees/tree-store.ts";
import { aspectsOf } from "./aspects.ts";
import type { Aspect } from "./aspects.ts";
import { differencesOf } from "./differences.ts";
import type { DiffOptions } from "./differences.ts";

/** A node for people and programs. Names and targets that are not UTF-8 stand in base64 also. */
export interface NodeDescription {
  readonly type: NodeType;
  /** Octal, four digits. */
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  /** RFC 3339, UTC, ns. */
  readonly mtime: string;
  readonly sizeBytes?: number;
  readonly content?: Digest | null;
  readonly target?: string;
  readonly targetBase64?: string;
  readonly device?: string;
  /** Values in base64. */
  readonly xattrs?: Readonly<Record<string, string>>;
}

export type ChangeKind = "added" | "removed" | "changed" | "replaced" | "metadata" | "renamed";

export interface ChangeDescription {
  readonly path: string;
  readonly pathBase64?: string;
  /** Of what was renamed: where it was. */
  readonly from?: string;
  readonly fromBase64?: string;
  /**
   * `replaced`: another type of node; `changed`: other bytes, target or device; `metadata`: mode, owner, time, xattrs or
   * hard links alone; `renamed`: the same bytes at another path, or a whole directory.
   */
  readonly kind: ChangeKind;
  /** Of what is on both sides. */
  readonly differs: readonly Aspect[];
  readonly before: NodeDescription | null;
  readonly after: NodeDescription | null;
  /** The first name of the file, if it has several after the change. */
  readonly link?: string;
  readonly linkBase64?: string;
  /** Of a directory that is gone: what went with it, but for what was renamed to elsewhere. */
  readonly gone?: { readonly entries: number; readonly sizeBytes: number };
}

/** What differs between two trees, for people and programs. As `differencesOf`. */
export function describeDifferences(
  trees: TreeStore,
  before: Tree | undefined,
  after: Tree,
  options?: DiffOptions,
): ChangeDescription[] {
  const differences = differencesOf(trees, before, after, options);
  return differences.map((difference) => describeDifference(trees, before, difference));
}

/** @param tree what it is a difference from */
export function describeDifference(
  trees: TreeStore,
  tree: Tree | undefined,
  difference: Difference,
): ChangeDescription {
  const { path, before, after, from, link, gone } = difference;
  const differs = aspectsOf(difference, () => tree && trees.linkMap(tree).get(from ?? path));
  return {
    ...describePath("path", path),
    ...(from === undefined ? {} : describePath("from", from)),
    kind: from === undefined ? kindOf(difference, differs) : "renamed",
    differs,
    before: before === undefined ? null : describeNode(before),
    after: after === undefined ? null : describeNode(after),
    ...(link?.[0] === undefined ? {} : describePath("link", link[0])),
    ...(gone && { gone: { entries: gone.entries, sizeBytes: gone.bytes } }),
  };
}

export function describeNode(node: Node): NodeDescription {
  return {
    type: node.type,
    mode: node.mode.toString(8).padStart(4, "0"),
    uid: node.uid,
    gid: node.gid,
    mtime: rfc3339(node.mtimeSec, node.mtimeNsec),
    ...(node.type === "file" ? { sizeBytes: node.content.size, content: node.content.root } : {}),
    ...(node.type === "symlink" ? describePath("target", node.target) : {}),
    ...("major" in node ? { device: `${node.major}:${node.minor}` } : {}),
    ...(node.xattrs.length > 0
      ? { xattrs: Object.fromEntries(node.xattrs.map((x) => [x.name, Buffer.from(x.value).toString("base64")])) }
      : {}),
  };
}

/** `{[key]: text}`, and `{[key]Base64}` beside it if the bytes are no UTF-8. */
export function describePath<K extends string>(
  key: K,
  path: TreePath,
): Record<K, string> & Partial<Record<`${K}Base64`, string>> {
  const bytes = Buffer.from(path, "latin1");
  const text = bytes.toString("utf8");
  const lossless = Buffer.from(text, "utf8").equals(bytes);
  const described = { [key]: text, ...(lossless ? {} : { [`${key}Base64`]: bytes.toString("base64") }) };
  return described as Record<K, string> & Partial<Record<`${K}Base64`, string>>;
}

function kindOf({ before, after }: Difference, differs: readonly Aspect[]): ChangeKind {
  if (before === undefined) return "added";
  if (after === undefined) return "removed";
  if (differs.includes("type")) return "replaced";
  return differs.some((aspect) => DATA.has(aspect)) ? "changed" : "metadata";
}

const DATA: ReadonlySet<Aspect> = new Set(["content", "target", "device"]);

/** Years outside 0000–9999 are written with sign and six digits, as ISO 8601 extends them. */
function rfc3339(sec: number, nsec: number): string {
  const whole = new Date(sec * 1000);
  if (Number.isNaN(whole.getTime())) return `@${sec}.${String(nsec).padStart(9, "0")}`;
  return whole.toISOString().replace(/\.000Z$/, `.${String(nsec).padStart(9, "0")}Z`);
}
