import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { parseMode } from "../../src/operations/file-mode.ts";
import { isStoreError } from "../../src/errors.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const UMASK = 0o027;

test("file mode: what chmod(1) takes, and nothing else, does the same as there", async () => {
  await using directory = await temporaryDirectory();
  const places = { file: `${directory.path}/file`, directory: `${directory.path}/directory` };
  writeFileSync(places.file, "");
  mkdirSync(places.directory);
  fc.assert(
    fc.property(modeText, fc.integer({ min: 0, max: 0o7777 }), fc.boolean(), (text, mode, isDirectory) => {
      const path = isDirectory ? places.directory : places.file;
      chmodSync(path, mode);
      const before = statSync(path).mode & 0o7777;
      assert.deepEqual(ours(text, before, isDirectory), theirs(text, path));
    }),
    { numRuns: 400 },
  );
});

const digits = fc.string({ unit: fc.constantFrom("0", "1", "2", "3", "4", "5", "6", "7"), minLength: 1, maxLength: 6 });
const clause = fc
  .tuple(
    fc.string({ unit: fc.constantFrom("u", "g", "o", "a"), maxLength: 3 }),
    fc.array(
      fc.tuple(
        fc.constantFrom("+", "-", "="),
        fc.oneof(
          { weight: 4, arbitrary: fc.string({ unit: fc.constantFrom("r", "w", "x", "X", "s", "t"), maxLength: 4 }) },
          fc.constantFrom("u", "g", "o", "ug", "uw"),
          digits,
        ),
      ),
      { minLength: 1, maxLength: 3 },
    ),
  )
  .map(([who, actions]) => who + actions.map((action) => action.join("")).join(""));
const modeText = fc.oneof(
  { weight: 1, arbitrary: digits },
  { weight: 5, arbitrary: fc.array(clause, { minLength: 1, maxLength: 3 }).map((clauses) => clauses.join(",")) },
  { weight: 1, arbitrary: fc.constantFrom("", ",", "u", "8", "0o7", "u+x,", "z+x", "u + x", "rwx", "=") },
);

function ours(text: string, mode: number, isDirectory: boolean): number | "invalid" {
  try {
    return parseMode(text)({ mode, isDirectory, umask: UMASK });
  } catch (error) {
    if (!isStoreError(error, "USAGE")) throw error;
    return "invalid";
  }
}

function theirs(text: string, path: string): number | "invalid" {
  const before = process.umask(UMASK);
  try {
    execFileSync("chmod", ["--", text, path], { stdio: ["ignore", "ignore", "pipe"] });
  } catch (error) {
    // It exits so, too, where the umask kept some of what was asked for from being done.
    const { stderr } = error as { stderr: Buffer };
    if (stderr.includes("invalid mode")) return "invalid";
  } finally {
    process.umask(before);
  }
  return statSync(path).mode & 0o7777;
}
