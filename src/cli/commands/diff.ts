import { resolve } from "node:path";
import { StoreError } from "../../errors.ts";
import type {
  ChangeDescription,
  ChangeTotals,
  Compared,
  Diff,
  DiffOptions,
  Ignorable,
  SideDescription,
} from "../../index.ts";
import { changeDocument, describeChange, LETTERS_HELP, nameStatusLine, statLines } from "../changes.ts";
import type { Call, Command } from "../command.ts";
import { packageLines } from "../packages.ts";
import type { Option, Options } from "../options.ts";
import { withStore } from "../session.ts";
import { digestText, formatTime, visible } from "../text.ts";

const FORMATS = ["stat", "nameStatus", "patch", "packages"] as const;

const PATCH_OPTION: Option = { flags: "-p, --patch", description: "as a patch: lines of text files" };

/** What is shown of differences, and how. */
const DIFF_OPTIONS: readonly Option[] = [
  { flags: "--stat", description: "sizes before and after, and their sum" },
  { flags: "--name-status", description: "letters and paths alone, with tabs between" },
  { flags: "--path <PATH>", description: "what is at or below it alone", repeat: true },
  { flags: "--ignore <SETS>", description: "leave out: mtime, logs, cache; several with commas", repeat: true },
  { flags: "--no-renames", description: "show what was renamed as removed and added" },
];

/** What compares. */
export const diffCommands: readonly Command[] = [
  {
    name: "diff",
    args: ["A", "[B]"],
    summary: "what differs from A to B; exits 1 if anything",
    options: [
      PATCH_OPTION,
      { flags: "--packages", description: "what it means in packages of dpkg, apk or rpm" },
      ...DIFF_OPTIONS,
    ],
    details: [
      "A and B are refs, or directories of this host: dir:/path, or a path with a slash. Without B, A is compared with its",
      `parent. ${LETTERS_HELP}`,
      "With -v also from what to what.",
    ].join("\n"),
    run: diff,
  },
  {
    name: "status",
    args: ["NAME"],
    nameAt: 0,
    summary: "what a container changed; exits 1 if anything",
    options: [PATCH_OPTION, ...DIFF_OPTIONS],
    details: `${LETTERS_HELP}\nWith -v also from what to what.`,
    run: status,
  },
];

const EXIT_DIFFERENT = 1;

async function diff(call: Call): Promise<number> {
  const [a = "", b] = call.args;
  requireOneFormat(call.options);
  const compared = { a: comparable(a), ...(b !== undefined && { b: comparable(b) }), ...diffOptions(call.options) };
  if (call.options.flag("packages")) return await showPackages(call, compared);
  const patch = call.options.flag("patch");
  if (patch && !isDocument(call)) return await showPatch(call, compared);
  const found = await withStore(call, (context, api) => api.diff(context, { ...compared, patch }));
  await call.output.show("diff", diffDocument(found), () => changeLines(call, found));
  return found.changes.length > 0 ? EXIT_DIFFERENT : 0;
}

function diffDocument(found: Diff): object {
  const { a, b, changes } = found;
  return { ...found, a: sideDocument(a), b: sideDocument(b), changes: changes.map(changeDocument) };
}

function sideDocument(side: SideDescription): object {
  return { ...side, digest: side.digest === null ? null : digestText(side.digest) };
}

async function showPackages(call: Call, compared: DiffOptions & Compared): Promise<number> {
  const found = await withStore(call, (context, api) => api.diffPackages(context, compared));
  const document = { ...found, a: sideDocument(found.a), b: sideDocument(found.b) };
  await call.output.show("diff-packages", document, () => packageLines(found, call.options.flag("verbose")));
  return found.differs ? EXIT_DIFFERENT : 0;
}

async function status(call: Call): Promise<number> {
  const [name = ""] = call.args;
  const { output, options } = call;
  requireOneFormat(options);
  if (options.flag("patch") && isDocument(call))
    throw new StoreError("USAGE", {
      reason: "status has no patches in documents",
      hint: `delta0 diff -p ${name} --json`,
    });
  const found = await withStore(call, (context, api) => api.status(context, { name, ...diffOptions(options) }));
  const { state, captured, changes } = found;
  if (state === "running")
    output.warn(`${name} is running: as of the last capture, ${captured === null ? "never" : formatTime(captured)}`);
  if (options.flag("patch")) return await showPatch(call, { a: name, ...diffOptions(options) });
  const document = {
    ...found,
    lower: digestText(found.lower),
    digest: digestText(found.digest),
    changes: changes.map(changeDocument),
  };
  await output.show("status", document, () => changeLines(call, found));
  return changes.length > 0 ? EXIT_DIFFERENT : 0;
}

/** Bytes as they are; on a terminal, what would steer it is escaped. */
async function showPatch(call: Call, compared: DiffOptions & Compared): Promise<number> {
  const { output } = call;
  const write = (bytes: Uint8Array): Promise<void> => {
    if (!process.stdout.isTTY) return output.bytes(bytes);
    const lines = Buffer.from(bytes).toString("utf8").split("\n");
    return output.text(lines.map((line) => colored(call, line.split("\t").map(visible).join("\t"))).join("\n"));
  };
  const differs = await withStore(call, (context, api) => api.writePatch({ ...context, output: write }, compared));
  return differs ? EXIT_DIFFERENT : 0;
}

function colored({ output }: Call, line: string): string {
  if (line.startsWith("@@")) return output.paint(line, "cyan");
  if (line.startsWith("+")) return output.paint(line, "green");
  if (line.startsWith("-")) return output.paint(line, "red");
  return line;
}

function changeLines(
  { options }: Call,
  { changes, totals }: { readonly changes: readonly ChangeDescription[]; readonly totals: ChangeTotals },
): Iterable<string> {
  if (options.flag("stat")) return statLines(changes, totals);
  if (options.flag("nameStatus")) return changes.map(nameStatusLine);
  return changes.map((change) => describeChange(change, options.flag("verbose")));
}

function requireOneFormat(options: Options): void {
  const [, second] = FORMATS.filter((format) => options.flag(format));
  if (second !== undefined)
    throw new StoreError("USAGE", {
      reason: "--stat, --name-status, --patch and --packages are each another form: give one",
    });
}

function isDocument({ options }: Call): boolean {
  return options.flag("json");
}

function diffOptions(options: Options): DiffOptions {
  const ignore = options.list("ignore").flatMap((sets) => sets.split(","));
  const unknown = ignore.find((set) => !isIgnorable(set));
  if (unknown !== undefined)
    throw new StoreError("USAGE", { reason: `--ignore takes mtime, logs and cache, not "${unknown}"` });
  return { paths: options.list("path"), ignore: ignore.filter(isIgnorable), renames: !options.refused("renames") };
}

function isIgnorable(set: string): set is Ignorable {
  return ["mtime", "logs", "cache"].includes(set);
}

/** What has a slash is a path of the host. */
function comparable(text: string): string {
  if (text.startsWith("dir:")) return `dir:${resolve(text.slice("dir:".length))}`;
  return text.includes("/") ? `dir:${resolve(text)}` : text;
}
