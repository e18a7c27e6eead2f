import { StoreError } from "../../errors.ts";
import type { ConflictDescription, Rebased, Squashed } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { withStore } from "../session.ts";
import { count, digestText, formatBytes, shortDigest, visible, visibleName } from "../text.ts";

/** What puts layers and containers on other layers. */
export const rebaseCommands: readonly Command[] = [
  {
    name: "squash",
    args: ["LAYER"],
    summary: "make one layer of it and those that it was made from",
    options: [
      { flags: "--onto <ANCESTOR>", description: "only of those that came after this one" },
      { flags: "-m, --message <TEXT>", description: "kept with the layer (default: its own)" },
      { flags: "--dry-run", description: "tell what would become one, and change nothing" },
    ],
    details: [
      "LAYER holds what it did. What stands on one of the layers in between goes on doing so, and keeps it; else it goes with gc",
      "once the grace of the history is over.",
    ].join("\n"),
    run: squash,
  },
  {
    name: "rebase",
    args: ["NAME"],
    nameAt: 0,
    summary: "put what a stopped container changed on another layer",
    options: [
      { flags: "--onto <LAYER>", description: "what it is to stand on" },
      { flags: "--ours", description: "settle conflicts as the container has it" },
      { flags: "--theirs", description: "settle conflicts as LAYER has it" },
      { flags: "--dry-run", description: "tell of conflicts, and change nothing" },
    ],
    long: true,
    details: [
      "What both the container and LAYER changed of what it stood on is a conflict: with any, and neither --ours nor --theirs, all are",
      "listed, nothing is changed, and the exit code is 6. Snapshots stay as they are.",
    ].join("\n"),
    run: rebase,
  },
];

async function squash(call: Call): Promise<number> {
  const { args, options, output } = call;
  const [name = ""] = args;
  const params = { name, ...options.textAs("onto"), ...options.textAs("message"), dryRun: options.flag("dryRun") };
  const squashed = await withStore(call, (context, api) => api.squash(context, params));
  const { digest, parentDigest } = squashed;
  const document = {
    ...squashed,
    digest: digestText(digest),
    parentDigest: parentDigest === null ? null : digestText(parentDigest),
  };
  await output.confirm("squash", document, () => squashedLines(squashed));
  return 0;
}

function* squashedLines({ name, layers, beforeBytes, afterBytes, keptBy, dryRun }: Squashed): Generator<string> {
  if (layers === 1) {
    yield `${name} is one layer already`;
    return;
  }
  const sizes = `${formatBytes(beforeBytes)} -> ${formatBytes(afterBytes)} with what it was made from`;
  yield `${name}: ${layers} layers ${dryRun ? "would be" : "are"} one; ${sizes}`;
  if (keptBy.length === 0) return;
  const more = keptBy.length > MOST_SHOWN ? ` and ${keptBy.length - MOST_SHOWN} more` : "";
  yield `the others stay as long as these stand on them: ${keptBy.slice(0, MOST_SHOWN).map(visible).join(", ")}${more}`;
}

const MOST_SHOWN = 10;

async function rebase(call: Call): Promise<number> {
  const { args, options, output } = call;
  const [name = ""] = args;
  const onto = options.text("onto");
  if (onto === undefined)
    throw new StoreError("USAGE", { reason: "missing --onto", hint: `delta0 rebase ${name} --onto LAYER` });
  if (options.flag("ours") && options.flag("theirs"))
    throw new StoreError("USAGE", { reason: "--ours and --theirs cannot go together" });
  const prefer: Prefer = options.flag("ours") ? "ours" : options.flag("theirs") ? "theirs" : undefined;
  const params = { name, onto, ...(prefer && { prefer }), dryRun: options.flag("dryRun") };
  const rebased = await withStore(call, (context, api) => api.rebase(context, params));
  const { conflicts } = rebased;
  const isRefused = conflicts.length > 0 && prefer === undefined;
  // Whoever asks for no more than what is to be done now must see conflicts all the same.
  if (isRefused) await output.show("rebase", documentOf(rebased), () => conflictLines(rebased));
  else await output.confirm("rebase", documentOf(rebased), () => rebasedLines(rebased, prefer));
  if (!isRefused) return 0;
  throw new StoreError("REFUSED", {
    reason: `${count(conflicts.length, "conflict")} between ${name} and ${onto}; nothing was changed`,
    hint: `settle all of them: --ours as ${name} has it, --theirs as ${onto} has it`,
  });
}

type Prefer = "ours" | "theirs" | undefined;

function documentOf(rebased: Rebased): object {
  const node = (description: ConflictDescription["base"]): object | null =>
    description?.content ? { ...description, content: digestText(description.content) } : description;
  return {
    ...rebased,
    previousLower: digestText(rebased.previousLower),
    lower: digestText(rebased.lower),
    previousDigest: digestText(rebased.previousDigest),
    digest: rebased.digest === null ? null : digestText(rebased.digest),
    conflicts: rebased.conflicts.map((conflict) => ({
      ...conflict,
      base: node(conflict.base),
      ours: node(conflict.ours),
      theirs: node(conflict.theirs),
    })),
  };
}

function* rebasedLines(rebased: Rebased, prefer: Prefer): Generator<string> {
  const { name, onto, dryRun, changes, conflicts, previousDigest, digest } = rebased;
  yield* conflictLines(rebased);
  if (conflicts.length > 0) yield `settled as ${prefer === "ours" ? name : onto} has it`;
  if (dryRun) yield `${name} would stand on ${onto}`;
  else if (digest === previousDigest && rebased.lower === rebased.previousLower)
    yield `${name} stands on ${onto} already`;
  else
    yield `${name} stands on ${onto} now, with ${count(changes ?? 0, "change")}; what it was until now: ${shortDigest(previousDigest)}`;
}

/** What people have written comes first. */
function* conflictLines({ name, onto, conflicts }: Rebased): Generator<string> {
  const written = conflicts.filter(({ machineWritten }) => machineWritten);
  for (const conflict of conflicts) if (!conflict.machineWritten) yield conflictLine(conflict, name, onto);
  if (written.length > 0) yield "written by programs:";
  for (const conflict of written) yield conflictLine(conflict, name, onto);
}

function conflictLine(conflict: ConflictDescription, name: string, onto: string): string {
  const { path, pathBase64, base, ours, theirs, differs, changedBelow } = conflict;
  const is = (side: string, removed: boolean): string => (removed ? `removed in ${side}` : `changed in ${side}`);
  const how =
    base === null && ours !== null && theirs !== null
      ? "added in both"
      : ours === null || theirs === null
        ? `${is(name, ours === null)}, ${is(onto, theirs === null)}`
        : "changed in both";
  const what = [...differs, ...(changedBelow === undefined ? [] : [`${count(changedBelow, "entry")} below`])];
  return `C ${visibleName(path, pathBase64)}  (${[how, ...what].join(", ")})`;
}
