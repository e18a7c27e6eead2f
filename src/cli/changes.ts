import type { Aspect, ChangeDescription, ChangeTotals, NodeDescription } from "../index.ts";
import { count, digestText, formatBytes, table, visible, visibleName } from "./text.ts";

/** A change as documents have it. */
export function changeDocument<C extends ChangeDescription>(change: C): object {
  return { ...change, before: nodeDocument(change.before), after: nodeDocument(change.after) };
}

function nodeDocument(node: NodeDescription | null): NodeDescription | object | null {
  return node?.content ? { ...node, content: digestText(node.content) } : node;
}

const LETTERS: Readonly<Record<ChangeDescription["kind"], string>> = {
  added: "A",
  removed: "D",
  changed: "M",
  replaced: "T",
  metadata: "m",
  renamed: "R",
};

/** For the help of all that shows changes. */
export const LETTERS_HELP = "A added, D removed, M other content, R renamed, T other type, m other metadata alone.";

/** One line. @param verbose with values, not just what differs */
export function describeChange(change: ChangeDescription, verbose: boolean): string {
  const line = `${LETTERS[change.kind]} ${pathsOf(change).join(" -> ")}`;
  const details = [...detailsOf(change, verbose)].join(", ");
  return details === "" ? line : `${line}  (${details})`;
}

/** Letter and paths, with tabs between them. */
export function nameStatusLine(change: ChangeDescription): string {
  return [LETTERS[change.kind], ...pathsOf(change)].join("\t");
}

/** What became of sizes, and their sum. */
export function* statLines(changes: readonly ChangeDescription[], totals: ChangeTotals): Generator<string> {
  yield* table(changes.map((change) => [` ${pathsOf(change).join(" => ")}`, `| ${sizesOf(change)}`]));
  if (changes.length > 0) yield ` ${describeTotals(totals)}`;
}

function describeTotals(totals: ChangeTotals): string {
  const { added, removed, changed, replaced, metadata, renamed, addedBytes, removedBytes } = totals;
  const counts = [
    [added, "added"],
    [removed, "removed"],
    [changed, "changed"],
    [replaced, "replaced"],
    [renamed, "renamed"],
    [metadata, "of other metadata"],
  ] as const;
  const shown = counts.filter(([number]) => number > 0).map(([number, what]) => `${number} ${what}`);
  return `${shown.join(", ")}; +${formatBytes(addedBytes)} -${formatBytes(removedBytes)}`;
}

function sizesOf({ kind, before, after, gone }: ChangeDescription): string {
  const went = gone && gone.entries > 0 ? `, with ${below(gone)}` : "";
  if (kind === "renamed") return "renamed";
  if (before === null || after === null) {
    const size = (before ?? after)?.sizeBytes;
    const sign = before === null ? "+" : "-";
    return (size === undefined ? `${sign} ${(before ?? after)?.type ?? ""}` : `${sign}${formatBytes(size)}`) + went;
  }
  if (before.sizeBytes !== after.sizeBytes) return `${sizeOf(before)} -> ${sizeOf(after)}${went}`;
  return `${kind === "metadata" ? "metadata" : sizeOf(after)}${went}`;
}

function pathsOf({ path, pathBase64, from, fromBase64 }: ChangeDescription): string[] {
  const now = path === "" ? "/" : visibleName(path, pathBase64);
  return from === undefined ? [now] : [visibleName(from, fromBase64), now];
}

function* detailsOf(change: ChangeDescription, verbose: boolean): Generator<string> {
  const { kind, path, before, after, differs, link, linkBase64, gone } = change;
  if (verbose && (before === null || after === null)) yield sizeOf(before ?? after);
  if (kind === "added" && link !== undefined && link !== path) yield `hard link to ${visibleName(link, linkBase64)}`;
  if (gone && gone.entries > 0) yield `with ${below(gone)}`;
  if (before === null || after === null) return;
  for (const aspect of differs) {
    // A changed file has another time: that goes without saying.
    if (!verbose && kind === "changed" && (aspect === "content" || aspect === "mtime")) continue;
    const values = verbose || aspect === "type" ? valuesOf(aspect, before, after) : undefined;
    yield values ?? aspect;
  }
}

function valuesOf(aspect: Aspect, before: NodeDescription, after: NodeDescription): string | undefined {
  switch (aspect) {
    case "type":
      return `${before.type} -> ${after.type}`;
    case "content":
      return before.sizeBytes === after.sizeBytes ? undefined : `${sizeOf(before)} -> ${sizeOf(after)}`;
    case "owner":
      return `owner ${before.uid}:${before.gid} -> ${after.uid}:${after.gid}`;
    case "mode":
    case "mtime":
    case "target":
    case "device":
      return `${aspect} ${visible(before[aspect] ?? "none")} -> ${visible(after[aspect] ?? "none")}`;
    case "sparse":
    case "xattrs":
    case "links":
      return undefined;
  }
}

function sizeOf(node: NodeDescription | null): string {
  return node?.sizeBytes === undefined ? (node?.type ?? "") : formatBytes(node.sizeBytes);
}

function below({ entries, sizeBytes }: NonNullable<ChangeDescription["gone"]>): string {
  return `${count(entries, "entry")} below${sizeBytes > 0 ? `, ${formatBytes(sizeBytes)}` : ""}`;
}
