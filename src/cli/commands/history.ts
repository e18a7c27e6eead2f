import { StoreError } from "../../errors.ts";
import type { NameChanged, NameState } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { withStore } from "../session.ts";
import { count, digestText, formatTime, shortDigest, table, visible } from "../text.ts";

/** What tells the history of names, and takes it back. */
export const historyCommands: readonly Command[] = [
  {
    name: "reflog",
    args: ["[NAME]"],
    nameAt: 0,
    summary: "what was done to names, the newest first; with NAME what it was, through renames",
    options: [{ flags: "--limit <N>", description: "the newest N alone" }],
    details: [
      "The first column is what to write to come there: undo N takes back that line and all above it;",
      "NAME@{N} can be given wherever a REF can: delta0 clone web@{2} web2, delta0 rollback web @{2}.",
    ].join("\n"),
    run: reflog,
  },
  {
    name: "undo",
    args: ["[N]"],
    summary: "take the last change of names back, or the last N; undo again takes that back",
    options: [{ flags: "--dry-run", description: "tell what would be taken back, and change nothing" }],
    long: true,
    details: [
      "N counts all lines of reflog. Without N what containers did by themselves, such as a capture when they stopped, is passed over.",
    ].join("\n"),
    run: undo,
  },
];

async function reflog(call: Call): Promise<number> {
  const [name] = call.args;
  const limit = call.options.number("limit", 0);
  const items = await withStore(call, (context, api) =>
    api.reflog(context, { ...(name !== undefined && { name }), ...(limit !== undefined && { limit }) }),
  );
  const documents = items.map((item) => ({ ...item, changes: item.changes.map(changeDocument) }));
  await call.output.show("reflog", { name: name ?? null, items: documents }, () => {
    const rows = items.map(({ undo, ref, time, command, changes }) => [
      ref ?? String(undo),
      formatTime(time),
      changesText(changes),
      visible(command),
    ]);
    return rows.length === 0
      ? []
      : table([[name === undefined ? "UNDO" : "REF", "TIME", "CHANGE", "COMMAND"], ...rows]);
  });
  return 0;
}

async function undo(call: Call): Promise<number> {
  const [text] = call.args;
  if (text !== undefined && !/^[1-9][0-9]{0,8}$/.test(text))
    throw new StoreError("USAGE", { reason: `"${text}" is no number of changes`, hint: "delta0 undo 2" });
  const dryRun = call.options.flag("dryRun");
  const undone = await withStore(call, (context, api) =>
    api.undo(context, { ...(text !== undefined && { count: Number(text) }), dryRun }),
  );
  const { entries, changes } = undone;
  await call.output.confirm("undo", { ...undone, changes: changes.map(changeDocument) }, () => [
    ...entries.map(
      ({ command, time }) => `${dryRun ? "would take" : "took"} back, of ${formatTime(time)}: ${visible(command)}`,
    ),
    ...(changes.length === 0
      ? ["names are what they were already"]
      : changes.map((change) => `  ${changeText(change)}`)),
  ]);
  return 0;
}

function changeDocument(change: NameChanged): object {
  return { ...change, before: stateDocument(change.before), after: stateDocument(change.after) };
}

function stateDocument(state: NameState | null): object | null {
  return state && { ...state, digest: state.digest === null ? null : digestText(state.digest) };
}

/** Of a thousand clones, one line. */
function changesText(changes: readonly NameChanged[]): string {
  const names = new Set(changes.flatMap(({ from }) => from ?? []));
  // A renamed name is told of where it is now.
  const told = changes.filter(({ name, after }) => after !== null || !names.has(name));
  const shown = told.slice(0, told.length > MOST_SHOWN ? 1 : MOST_SHOWN).map(changeText);
  const others = told.length - shown.length;
  return [...shown, ...(others > 0 ? [count(others, "more name")] : [])].join("; ");
}

const MOST_SHOWN = 2;

function changeText({ name, from, before, after }: NameChanged): string {
  const was = from === null ? "" : ` (was ${from})`;
  if (before === null) return `${name}${was}: ${from === null ? "new " : ""}${stateText(after)}`;
  if (after === null) return `${name}: gone, was ${stateText(before)}`;
  const isSame = before.digest === after.digest && before.type === after.type;
  return `${name}${was}: ${isSame ? stateText(after) : `${stateText(before)} → ${stateText(after)}`}`;
}

function stateText(state: NameState | null): string {
  if (state === null) return "nothing";
  return `${state.type} ${state.digest === null ? "(collected)" : shortDigest(state.digest)}`;
}
