import type { Change } from "../model/change.ts";
import type { Digest } from "../model/digest.ts";
import type { TreePath } from "../model/name.ts";
import type { Node, NodeType } from "../model/node.ts";
import { sameSelf } from "../trees/diff.ts";

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

export type ChangeKind = "added" | "removed" | "changed" | "replaced" | "metadata";

export interface ChangeDescription {
  readonly path: string;
  readonly pathBase64?: string;
  /**
   * `replaced`: another type of node; `changed`: other bytes, target or device; `metadata`: mode, owner, time, xattrs or
   * hard links alone.
   */
  readonly kind: ChangeKind;
  readonly before: NodeDescription | null;
  readonly after: NodeDescription | null;
}

export function describeChange({ path, before, after }: Change): ChangeDescription {
  return {
    ...describePath("path", path),
    kind: kindOf(before, after),
    before: before === undefined ? null : describeNode(before),
    after: after === undefined ? null : describeNode(after),
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

function kindOf(before: Node | undefined, after: Node | undefined): ChangeKind {
  if (before === undefined) return "added";
  if (after === undefined) return "removed";
  if (before.type !== after.type) return "replaced";
  const { mode, uid, gid, mtimeSec, mtimeNsec, xattrs, linked } = after;
  const dressed = { ...before, mode, uid, gid, mtimeSec, mtimeNsec, xattrs, linked } as Node;
  return sameSelf(dressed, after) ? "metadata" : "changed";
}

/** Years outside 0000–9999 are written with sign and six digits, as ISO 8601 extends them. */
function rfc3339(sec: number, nsec: number): string {
  const whole = new Date(sec * 1000);
  if (Number.isNaN(whole.getTime())) return `@${sec}.${String(nsec).padStart(9, "0")}`;
  return whole.toISOString().replace(/\.000Z$/, `.${String(nsec).padStart(9, "0")}Z`);
}
