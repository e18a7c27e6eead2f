import type { LinkGroup } from "../model/change.ts";
import { sameXattrs } from "../trees/diff.ts";
import type { Difference } from "../trees/renames.ts";
import { sameNames } from "./differences.ts";

/** What of a node can differ. */
export type Aspect =
  "type" | "content" | "target" | "device" | "sparse" | "mode" | "owner" | "mtime" | "xattrs" | "links";

/**
 * What differs of a node that is on both sides.
 *
 * @param linkBefore all names that the file had, if it had several
 */
export function aspectsOf(
  { before: a, after: b, from, link }: Difference,
  linkBefore: () => LinkGroup | undefined,
): readonly Aspect[] {
  if (a === undefined || b === undefined) return [];
  const differs: Aspect[] = [];
  if (a.type !== b.type) differs.push("type");
  if (a.type === "file" && b.type === "file") {
    if (a.content.root !== b.content.root || a.content.size !== b.content.size) differs.push("content");
    if (a.content.sparse !== b.content.sparse) differs.push("sparse");
  }
  if (a.type === "symlink" && b.type === "symlink" && a.target !== b.target) differs.push("target");
  if ("major" in a && "major" in b && (a.major !== b.major || a.minor !== b.minor)) differs.push("device");
  if (a.mode !== b.mode) differs.push("mode");
  if (a.uid !== b.uid || a.gid !== b.gid) differs.push("owner");
  if (a.mtimeSec !== b.mtimeSec || a.mtimeNsec !== b.mtimeNsec) differs.push("mtime");
  if (!sameXattrs(a.xattrs, b.xattrs)) differs.push("xattrs");
  if (a.linked || b.linked) {
    const names = linkBefore();
    // Of what was renamed the names differ anyway.
    if (from === undefined ? !sameNames(names, link) : names?.length !== link?.length) differs.push("links");
  }
  return differs;
}
