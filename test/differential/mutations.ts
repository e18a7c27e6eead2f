import { spawnSync } from "node:child_process";
import { copyOfCheckout, whileBroken } from "../support/mutants.ts";
import type { Mutation } from "../support/mutants.ts";

/*
 * Breaks rules of the merge on purpose, one by one in a copy of the checkout, and demands that the differential test finds each:
 *
 *   npm run mutations
 */
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

await using copy = await copyOfCheckout();
if (differenceIn(copy.path) !== undefined) throw new Error("the differential test fails without any mutation");
for (const mutation of MUTATIONS) {
  const difference = await whileBroken(copy, mutation, () => differenceIn(copy.path));
  console.log(`${difference === undefined ? "MISSED" : "caught"}: ${mutation.rule}\n${difference ?? ""}`);
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
