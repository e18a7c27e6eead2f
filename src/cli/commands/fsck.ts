import { StoreError } from "../../errors.ts";
import type { Damage, DamagedRef, Fscked } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { absolutePath } from "../options.ts";
import { withStore } from "../session.ts";
import { count, formatBytes, formatSeconds, visible } from "../text.ts";

/** What is damaged, what that hits, and how it is mended. */
export const fsckCommands: readonly Command[] = [
  {
    name: "fsck",
    args: ["[REF…]"],
    summary: "check the store, or what REFs reach: tell what is damaged, which names and paths that hits, and mend it",
    options: [
      { flags: "--deep", description: "read all bytes and prove them, also of shared exports" },
      { flags: "--repair", description: "mend what can be mended; what is replaced is replaced by proven bytes only" },
      {
        flags: "--from <SRC>",
        description: "with --repair: a directory, tar or other store that may hold what is lost",
        repeat: true,
      },
    ],
    long: true,
    details: "Exits 7 if anything is damaged, or could not be mended. Takes a store, too, that does not open.",
    run: fsck,
  },
];

async function fsck(call: Call): Promise<number> {
  const { args: refs, options, output } = call;
  const repair = options.flag("repair");
  const from = options.list("from").map((source) => absolutePath(source));
  if (from.length > 0 && !repair)
    throw new StoreError("USAGE", { reason: "--from goes with --repair", hint: "delta0 fsck --repair --from SRC" });
  const params = { deep: options.flag("deep"), repair, from, ...(refs.length > 0 && { refs }) };
  const began = performance.now();
  const checked = await withStore(call, (context, { fsck }) => fsck(context, params), {
    damaged: repair ? "mend" : "look",
  });
  const seconds = (performance.now() - began) / 1000;
  await output.show("fsck", { ...checked, seconds }, () => describe(checked, seconds, options.flag("verbose")));
  return checked.damage.length > 0 ? EXIT_DAMAGED : 0;
}

/** docs/errors.md */
const EXIT_DAMAGED = 7;

function describe(checked: Fscked, seconds: number, isVerbose: boolean): string[] {
  const { deep, damage, refs, soundNames, checked: counts, notes, repaired, kept } = checked;
  const { names, nodes, chunks, storedBytes, plainBytes, exports } = counts;
  const most = isVerbose ? Infinity : MOST_LINES;
  const what = `${count(names, "name")}, ${count(nodes, "node")}, ${count(chunks, "chunk")} of ${formatBytes(storedBytes)}`;
  const bytes = deep ? `, all ${formatBytes(plainBytes)} of them proven` : "";
  const places = exports > 0 ? `, ${count(exports, "export")}` : "";
  const lines = repaired.map((text) => `repaired: ${visible(text)}`);
  if (damage.length === 0) lines.push(`no damage: ${what}${bytes}${places}; ${formatSeconds(seconds)}`);
  else {
    lines.push(...some(damage, most, describeDamage));
    lines.push(...refs.flatMap((ref) => describeRef(ref, most)));
    lines.push(
      `${count(damage.length, "thing")} damaged; ${soundNames} of ${count(names, "name")} not hit; looked at ${what}${bytes}${places}`,
    );
  }
  lines.push(...notes.map((note) => `note: ${visible(note)}`));
  lines.push(...kept.map((path) => `kept: ${visible(path)}`));
  return lines;
}

function describeDamage({ what, reason }: Damage): string {
  return `${visible(what)}: ${visible(reason)}`;
}

function describeRef({ name, type, note, paths, morePaths }: DamagedRef, most: number): string[] {
  const whose = `${type === "past" ? "past state of " : type === "upper" ? "upper of " : ""}${visible(name)}`;
  const when = note === undefined ? "" : ` (${visible(note)})`;
  const lines = some(paths, most, ({ path, of }) => {
    const where = of === "tree" ? "" : ` of its ${of.replace(/^layer /, "parent layer ")}`;
    return `  ${path === null ? "all" : visible(path)}${where}`;
  });
  const hidden = morePaths > 0 ? [`  and ${morePaths} more paths`] : [];
  return [`hit: ${whose}${when}`, ...lines, ...hidden];
}

function some<T>(items: readonly T[], most: number, describe: (item: T) => string): string[] {
  const lines = items.slice(0, most).map(describe);
  return items.length > most ? [...lines, `  and ${items.length - most} more: --verbose tells all`] : lines;
}

const MOST_LINES = 10;
