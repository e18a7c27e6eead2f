import { spawnSync } from "node:child_process";
import { cp, readFile, symlink, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "../support/temporary.ts";

/*
 * Breaks rules of the merge on purpose, one by one in a copy of the checkout, and demands that the differential test finds each:
 *
 *   npm run mutations
 */
interface Mutation {
  readonly rule: string;
  readonly file: string;
  /** Stands in the file just once. */
  readonly text: string;
  readonly instead: string;
}

const MUTATIONS: readonly Mutation[] = [
  {
    rule: "a new directory over a removed one is opaque",
    file: "src/overlay/freeze.ts",
    text: `if (body.lower === undefined) yield { kind: "opaque", path };\n  else if`,
    instead: "if",
  },
  {
    rule: "a whiteout hides what the lower has",
    file: "src/overlay/upper-names.ts",
    text: "if (own !== undefined) return own ?? undefined;",
    instead: "if (own != null) return own;",
  },
  {
    rule: "a name that was not there is looked up anew after a rename",
    file: "src/overlay/upper.ts",
    text: "    body.sorted = undefined;\n    this.generation++;",
    instead: "    body.sorted = undefined;",
  },
  {
    rule: "the names of one file stay names of one file when it is copied up",
    file: "src/overlay/lower-tree.ts",
    text: "return entry.linked ? this.#firstName(entry).ordinal : entry.ordinal;",
    instead: "return entry.ordinal;",
  },
  {
    rule: "what was cut off and grown again is a hole",
    file: "src/overlay/upper-bytes.ts",
    text: "body.shown = Math.min(body.shown, size);",
    instead: "",
  },
];

const checkout = fileURLToPath(new URL("../..", import.meta.url));
await using copy = await temporaryDirectory();
for (const name of ["src", "test", "package.json", "tsconfig.json"])
  await cp(`${checkout}/${name}`, `${copy.path}/${name}`, { recursive: true });
await symlink(`${checkout}/node_modules`, `${copy.path}/node_modules`);

if (differenceIn(copy.path) !== undefined) throw new Error("the differential test fails without any mutation");
for (const { rule, file, text, instead } of MUTATIONS) {
  const path = `${copy.path}/${file}`;
  const source = await readFile(path, "utf8");
  if (source.split(text).length !== 2) throw new Error(`${file} does not hold this once: ${text}`);
  await writeFile(
    path,
    source.replace(text, () => instead),
  );
  const difference = differenceIn(copy.path);
  await writeFile(path, source);
  console.log(`${difference === undefined ? "MISSED" : "caught"}: ${rule}\n${difference ?? ""}`);
  if (difference === undefined) process.exitCode = 1;
}

/** @returns what the differential test found; undefined if it passed */
function differenceIn(directory: string): string | undefined {
  const { status, stdout } = spawnSync(
    process.execPath,
    ["--import", "tsx", "--test", "test/differential/agreement.test.ts"],
    { cwd: directory, encoding: "utf8", env: { ...process.env, DELTA0_SEED: "1" }, maxBuffer: 2 ** 28 },
  );
  if (status === 0) return undefined;
  // Code that does not run at all would fail, too.
  const [found] = /Error: (call \d+,|.+ shows:)[^]*?(?=\n +\{")/.exec(stdout) ?? [];
  if (found === undefined) throw new Error(`no difference, but it failed:\n${stdout}`);
  return found;
}
