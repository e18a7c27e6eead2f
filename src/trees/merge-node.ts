import type { Metadata, Node, Xattr } from "../model/node.ts";
import { sameXattrs } from "./diff.ts";

/** One entry as three trees have it; undefined where there is none. */
export interface Versions {
  readonly base: Node | undefined;
  readonly ours: Node | undefined;
  readonly theirs: Node | undefined;
}

export type Side = "ours" | "theirs";

/** What of an entry both sides changed, each in its own way. None: one side removed what the other changed. */
export type MergeAspect = "type" | "content" | "target" | "device" | "mode" | "owner" | "xattrs" | "links";

export type MergedNode =
  | { readonly kind: "merged"; readonly node: Node | undefined }
  | { readonly kind: "conflict"; readonly aspects: readonly MergeAspect[] };

/**
 * Merges one entry, what directories hold and hard links left aside. Data, mode, owner and each extended attribute are merged by
 * themselves: a chmod of one side and new bytes of the other are no conflict. Nor is what both sides did.
 *
 * Times never are a conflict: where both sides changed it, it is that of the side whose data it is, or else theirs. Who only changed a
 * time has not changed the entry: the other side may remove it.
 */
export function mergeNodes({ base, ours, theirs }: Versions): MergedNode {
  if (!isTouched(base, ours)) return merged(theirs && timed(theirs, { base, ours, theirs }, "theirs"));
  if (!isTouched(base, theirs)) return merged(ours && timed(ours, { base, ours, theirs }, "ours"));
  if (ours === undefined && theirs === undefined) return merged(undefined);
  if (ours === undefined || theirs === undefined) return { kind: "conflict", aspects: [] };
  if (ours.type !== theirs.type) return { kind: "conflict", aspects: ["type"] };
  return mergeSameType(base?.type === ours.type ? base : undefined, ours, theirs);
}

/** True unless an entry is as the base has it, but perhaps for its time. */
export function isTouched(base: Node | undefined, side: Node | undefined): boolean {
  return base === undefined || side === undefined ? base !== side : !sameButTime(base, side);
}

/** Hard links are left aside, and what directories hold. */
export function sameButTime(a: Node, b: Node): boolean {
  return (
    a.type === b.type &&
    dataOf(a) === dataOf(b) &&
    isSparse(a) === isSparse(b) &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    sameXattrs(a.xattrs, b.xattrs)
  );
}

export function sameTime(a: Metadata, b: Metadata): boolean {
  return a.mtimeSec === b.mtimeSec && a.mtimeNsec === b.mtimeNsec;
}

function mergeSameType(base: Node | undefined, ours: Node, theirs: Node): MergedNode {
  const aspects = new Set<MergeAspect>();
  const sideOf = (aspect: MergeAspect, valueOf: (node: Node) => string | number): Side => {
    const side = changedBy(base && valueOf(base), valueOf(ours), valueOf(theirs));
    if (side === undefined) aspects.add(aspect);
    return side ?? "theirs";
  };
  const sides = { ours, theirs };
  const hasSameData = dataOf(ours) === dataOf(theirs);
  const dataSide = hasSameData
    ? (changedBy(base && isSparse(base), isSparse(ours), isSparse(theirs)) ?? "theirs")
    : sideOf(dataAspect(ours), dataOf);
  const mode = sides[sideOf("mode", (node) => node.mode)].mode;
  const uid = sides[sideOf("owner", (node) => node.uid)].uid;
  const gid = sides[sideOf("owner", (node) => node.gid)].gid;
  const xattrs = mergeXattrs(base?.xattrs, ours.xattrs, theirs.xattrs);
  if (xattrs === undefined) aspects.add("xattrs");
  if (aspects.size > 0) return { kind: "conflict", aspects: [...aspects] };
  const node = { ...sides[dataSide], mode, uid, gid, xattrs: xattrs ?? [] };
  return merged(timed(node, { base, ours, theirs }, dataSide));
}

function merged(node: Node | undefined): MergedNode {
  return { kind: "merged", node };
}

/** Whose value it is; undefined if both have changed it, each in its own way. */
function changedBy<T>(base: T | undefined, ours: T, theirs: T): Side | undefined {
  if (ours === theirs || base === ours) return "theirs";
  return base === theirs ? "ours" : undefined;
}

/** @param side whose time it has if both changed that */
function timed(node: Node, { base, ours, theirs }: Versions, side: Side): Node {
  if (base === undefined || ours === undefined || theirs === undefined) return node;
  const owner = sameTime(base, ours) ? theirs : sameTime(base, theirs) ? ours : side === "ours" ? ours : theirs;
  return { ...node, mtimeSec: owner.mtimeSec, mtimeNsec: owner.mtimeNsec };
}

/** By name. @returns undefined if both sides changed one */
function mergeXattrs(
  base: readonly Xattr[] = [],
  ours: readonly Xattr[],
  theirs: readonly Xattr[],
): readonly Xattr[] | undefined {
  if (sameXattrs(ours, theirs) || sameXattrs(base, ours)) return theirs;
  const [bases, olds, news] = [base, ours, theirs].map((list) => new Map(list.map((xattr) => [xattr.name, xattr])));
  const names = [...new Set([...ours, ...theirs].map(({ name }) => name))].sort((a, b) => (a < b ? -1 : 1));
  const result: Xattr[] = [];
  for (const name of names) {
    const [b, o, t] = [bases, olds, news].map((xattrs) => xattrs?.get(name));
    const side = changedBy(hexOf(b), hexOf(o), hexOf(t));
    if (side === undefined) return undefined;
    const xattr = side === "ours" ? o : t;
    if (xattr !== undefined) result.push(xattr);
  }
  return result;
}

function hexOf(xattr: Xattr | undefined): string {
  return xattr === undefined ? "none" : Buffer.from(xattr.value).toString("hex");
}

function dataAspect({ type }: Node): MergeAspect {
  return type === "file" ? "content" : type === "symlink" ? "target" : "device";
}

/** Equal for nodes of one type that hold the same. */
function dataOf(node: Node): string {
  if (node.type === "file") return `${node.content.root ?? "zeros"} ${node.content.size}`;
  if (node.type === "symlink") return node.target;
  return "major" in node ? `${node.major}:${node.minor}` : "";
}

function isSparse(node: Node): boolean {
  return node.type === "file" && node.content.sparse;
}
