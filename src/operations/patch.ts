import type { structuredPatch } from "diff";
import type { TreePath } from "../model/name.ts";
import { byteString, displayName } from "../model/name.ts";
import type { Node } from "../model/node.ts";
import type { Difference } from "../trees/renames.ts";
import { walkBelow } from "../trees/walk.ts";
import { aspectsOf } from "./aspects.ts";
import { differencesOf } from "./differences.ts";
import type { DiffOptions } from "./differences.ts";
import type { Side, Sides } from "./sides.ts";

/** Of larger files hunks are not made. */
const MAX_TEXT_BYTES = 1 << 20;
/** Lines that may differ, before all that is between the first and the last one counts as replaced: more would cost seconds. */
const MAX_EDITS = 2000;
const CONTEXT_LINES = 3;

/** A difference and its patch: bytes, one per char. */
export interface Patch {
  readonly difference: Difference;
  readonly text: string;
}

/** The differences of two sides as patches in git's form. What git's form has no place for stands in lines with "#". */
export async function* patchesOf(sides: Sides, options: DiffOptions): AsyncGenerator<Patch> {
  const { structuredPatch } = await import("diff");
  const { trees, before, after } = sides;
  if (after.tree === undefined) return;
  const differences = differencesOf(trees, before.tree, after.tree, options, "files");
  const moved = new Set(differences.flatMap(({ from }) => from ?? []));
  const patcher = new Patcher(sides, structuredPatch);
  for (const difference of differences) {
    let text = patcher.patch(difference);
    const { path, before: directory, gone } = difference;
    if (gone !== undefined && directory?.type === "directory")
      for (const [below, node] of walkBelow(trees, path, directory))
        if (!moved.has(below)) text += patcher.patch({ path: below, before: node, after: undefined });
    yield { difference, text };
  }
}

class Patcher {
  readonly #sides: Sides;
  readonly #structuredPatch: typeof structuredPatch;

  constructor(sides: Sides, make: typeof structuredPatch) {
    this.#sides = sides;
    this.#structuredPatch = make;
  }

  patch(difference: Difference): string {
    const { path, before, after, from } = difference;
    const notes = this.#notes(difference);
    if (before && after && modeOf(before)?.slice(0, 3) !== modeOf(after)?.slice(0, 3))
      return notes + this.#file(path, path, before, undefined) + this.#file(path, path, undefined, after);
    return notes + this.#file(from ?? path, path, before, after, from !== undefined);
  }

  /** What is no regular file and no symlink, git does not have; nor owners, times, xattrs and hard links. */
  #notes(difference: Difference): string {
    const { path, before, after, from, link } = difference;
    const lines: string[] = [];
    const name = displayName(path === "" ? "/" : path);
    const added = before === undefined ? after : undefined;
    const removed = after === undefined ? before : undefined;
    const whole = added ?? removed;
    if (whole !== undefined && modeOf(whole) === undefined)
      lines.push(`${added === undefined ? "removed" : "added"} ${whole.type} ${describeSelf(whole)}`.trimEnd());
    if (added !== undefined && link !== undefined && link[0] !== path)
      lines.push(`hard link to ${displayName(link[0] ?? "")}`);
    if (before !== undefined && after !== undefined) {
      const { trees, before: side } = this.#sides;
      const aspects = aspectsOf(difference, () => side.tree && trees.linkMap(side.tree).get(from ?? path));
      for (const aspect of aspects) {
        if (aspect === "owner") lines.push(`owner ${owner(before)} -> ${owner(after)}`);
        else if (aspect === "mode" && modeOf(after) === undefined)
          lines.push(`mode ${octal(before.mode)} -> ${octal(after.mode)}`);
        else if (aspect === "type" && (modeOf(before) === undefined || modeOf(after) === undefined))
          lines.push(`${before.type} -> ${after.type}`);
        // A changed file has another time: that goes without saying.
        else if (aspect === "mtime" && aspects.length === 1) lines.push(`mtime ${time(before)} -> ${time(after)}`);
        else if (["xattrs", "links", "device", "sparse"].includes(aspect)) lines.push(`other ${aspect}`);
      }
    }
    return lines.map((line) => `# ${Buffer.from(name, "utf8").toString("latin1")}: ${line}\n`).join("");
  }

  #file(from: TreePath, to: TreePath, before: Node | undefined, after: Node | undefined, renamed = false): string {
    const [oldMode, newMode] = [before && modeOf(before), after && modeOf(after)];
    if (oldMode === undefined && newMode === undefined) return "";
    const [oldName, newName] = [quoted(`a/${from}`), quoted(`b/${to}`)];
    const header: string[] = [];
    if (oldMode === undefined) header.push(`new file mode ${newMode ?? ""}`);
    else if (newMode === undefined) header.push(`deleted file mode ${oldMode}`);
    else if (oldMode !== newMode) header.push(`old mode ${oldMode}`, `new mode ${newMode}`);
    if (renamed) header.push("similarity index 100%", `rename from ${quoted(from)}`, `rename to ${quoted(to)}`);
    const body = renamed ? "" : this.#body([from, before, oldName], [to, after, newName]);
    if (header.length === 0 && body === "") return "";
    return `${[`diff --git ${oldName} ${newName}`, ...header].join("\n")}\n${body}`;
  }

  #body([from, before, oldName]: Version, [to, after, newName]: Version): string {
    if (before !== undefined && after !== undefined && isSame(before, after)) return "";
    const [was, is] = [textOf(this.#sides.before, from, before), textOf(this.#sides.after, to, after)];
    const [oldHeader, newHeader] = [before ? oldName : "/dev/null", after ? newName : "/dev/null"];
    if (was === undefined || is === undefined) return `Binary files ${oldHeader} and ${newHeader} differ\n`;
    const hunks = this.#hunks(was, is);
    return hunks === "" ? "" : `--- ${tabbed(oldHeader)}\n+++ ${tabbed(newHeader)}\n${hunks}`;
  }

  #hunks(was: string, is: string): string {
    const options = { context: CONTEXT_LINES, maxEditLength: MAX_EDITS };
    const found = this.#structuredPatch("", "", was, is, undefined, undefined, options)?.hunks ?? [wholeHunk(was, is)];
    return found
      .map(({ oldStart, oldLines, newStart, newLines, lines }) => {
        // Of no lines at all, the line before them is named.
        const [a, b] = [oldStart - (oldLines === 0 ? 1 : 0), newStart - (newLines === 0 ? 1 : 0)];
        return `@@ -${a},${oldLines} +${b},${newLines} @@\n${lines.map((line) => `${line}\n`).join("")}`;
      })
      .join("");
  }
}

type Version = readonly [path: TreePath, node: Node | undefined, header: string];

/** All lines of the one replaced by all of the other. */
function wholeHunk(was: string, is: string): Hunk {
  const [olds, news] = [linesOf(was), linesOf(is)];
  const marked = (sign: string, lines: readonly string[]): string[] =>
    lines.flatMap((line) =>
      line.endsWith("\n") ? [`${sign}${line.slice(0, -1)}`] : [`${sign}${line}`, "\\ No newline at end of file"],
    );
  const lines = [...marked("-", olds), ...marked("+", news)];
  return { oldStart: 1, oldLines: olds.length, newStart: 1, newLines: news.length, lines };
}

interface Hunk {
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newStart: number;
  readonly newLines: number;
  readonly lines: readonly string[];
}

function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/** What is compared line by line; undefined for what is no text, or too much. */
function textOf(side: Side, path: TreePath, node: Node | undefined): string | undefined {
  if (node?.type === "symlink") return node.target;
  if (node?.type !== "file") return "";
  if (node.content.size > MAX_TEXT_BYTES) return undefined;
  let text = "";
  for (const piece of side.pieces(path, node.content)) {
    if (typeof piece === "number" || piece.includes(0)) return undefined;
    text += byteString(piece);
  }
  return text;
}

function isSame(a: Node, b: Node): boolean {
  if (a.type === "symlink") return b.type === "symlink" && a.target === b.target;
  if (a.type !== "file" || b.type !== "file") return true;
  return a.content.root === b.content.root && a.content.size === b.content.size;
}

/** As git writes it; undefined for what git does not have. */
function modeOf(node: Node): string | undefined {
  if (node.type === "symlink") return "120000";
  return node.type === "file" ? `10${octal(node.mode)}` : undefined;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

function owner({ uid, gid }: Node): string {
  return `${uid}:${gid}`;
}

function time({ mtimeSec, mtimeNsec }: Node): string {
  return `${mtimeSec}.${String(mtimeNsec).padStart(9, "0")}`;
}

function describeSelf(node: Node): string {
  const device = "major" in node ? `${node.major}:${node.minor} ` : "";
  return `${device}${octal(node.mode)} ${owner(node)}`;
}

/** As git quotes names: what is no printable ASCII as octal bytes. */
function quoted(path: TreePath): string {
  if (!/[^\x20-\x7e]|["\\]/.test(path)) return path;
  const escaped = path.replace(/[^\x20-\x7e]|["\\]/g, (c) =>
    c === '"' || c === "\\" ? `\\${c}` : `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
  return `"${escaped}"`;
}

/** A name with blanks ends with a tab, or programs would take what follows the blank for a time. */
function tabbed(header: string): string {
  return header.includes(" ") ? `${header}\t` : header;
}
