import type { ChangeDescription, NodeDescription, Status } from "../../index.ts";
import type { Call } from "../command.ts";
import { withStore } from "../session.ts";
import { digestText, formatBytes, formatTime, visible, visibleName } from "../text.ts";

const EXIT_DIFFERENT = 1;

export async function status(call: Call): Promise<number> {
  const [name = ""] = call.args;
  const { output, options } = call;
  const found = await withStore(call, (context, api) => api.status(context, { name }));
  const { state, captured, changes } = found;
  if (state === "running")
    output.warn(`${name} is running: as of the last capture, ${captured === null ? "never" : formatTime(captured)}`);
  await output.show("status", statusDocument(found), () =>
    changes.map((change) => describeChange(change, options.flag("verbose"))),
  );
  return changes.length > 0 ? EXIT_DIFFERENT : 0;
}

function statusDocument(found: Status): object {
  return {
    ...found,
    lower: digestText(found.lower),
    digest: digestText(found.digest),
    changes: found.changes.map(changeDocument),
  };
}

export function changeDocument(change: ChangeDescription): object {
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
};

/** One line. @param verbose what of the metadata differs, too */
export function describeChange({ kind, path, pathBase64, before, after }: ChangeDescription, verbose: boolean): string {
  const line = `${LETTERS[kind]} ${path === "" ? "/" : visibleName(path, pathBase64)}`;
  const details = verbose ? describeDifference(before, after) : "";
  return details === "" ? line : `${line}  (${details})`;
}

const COMPARED = ["type", "mode", "uid", "gid", "target", "device", "mtime"] as const;

function describeDifference(before: NodeDescription | null, after: NodeDescription | null): string {
  if (before === null || after === null) {
    const there = before ?? after;
    return there === null ? "" : sizeOf(there);
  }
  const parts: string[] = [];
  if (before.sizeBytes !== after.sizeBytes) parts.push(`${sizeOf(before)} -> ${sizeOf(after)}`);
  for (const key of COMPARED) {
    const [from = "none", to = "none"] = [before[key], after[key]];
    if (from !== to) parts.push(`${key} ${visible(String(from))} -> ${visible(String(to))}`);
  }
  if (JSON.stringify(before.xattrs) !== JSON.stringify(after.xattrs)) parts.push("xattrs");
  return parts.join(", ");
}

function sizeOf({ type, sizeBytes }: NodeDescription): string {
  return sizeBytes === undefined ? type : formatBytes(sizeBytes);
}
