import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { callText } from "../../src/cli/call-text.ts";
import { formatBytes, table, visible, visibleName } from "../../src/cli/text.ts";
import { run } from "../support/run.ts";

test("cli text: sizes have at most four digits before the point, and are what they say to the last digit shown", () => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 53 - 1 }), fc.integer({ min: 0, max: 52 }), (bits, shift) => {
      const bytes = Math.floor(bits / 2 ** shift);
      const [, number = "", unit = ""] = /^([0-9]+(?:\.[0-9])?) ([KMGTP]?i?B)$/.exec(formatBytes(bytes)) ?? [];
      const scale = 1024 ** units.indexOf(unit);
      assert.ok(Math.abs(Number(number) - bytes / scale) <= 0.0501, formatBytes(bytes));
      assert.ok(Number(number) < 1024 || unit === "PiB", formatBytes(bytes));
    }),
  );
  assert.equal(formatBytes(1023), "1023 B");
  assert.equal(formatBytes(1024), "1.0 KiB");
  assert.equal(formatBytes(1_048_575), "1.0 MiB");
});

test("cli text: what is shown has no control characters, and plain text stays as it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.doesNotMatch(visible(text), /[\0-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/);
    }),
  );
  fc.assert(fc.property(fc.stringMatching(/^[ -~äöü→日本]*$/), (text) => assert.equal(visible(text), text)));
});

test("cli text: of a name that is no UTF-8 each byte can be read", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), (bytes) => {
      const shown = visibleName("\ufffd", Buffer.from(bytes).toString("base64"));
      assert.match(shown, /^[ -~]+$/);
    }),
  );
});

test("cli text: columns of a table begin where their headings do", () => {
  assert.deepEqual(
    table(
      [
        ["NAME", "SIZE", "X"],
        ["a", "5", "-"],
        ["longer", "12345", ""],
      ],
      [1],
    ),
    ["NAME     SIZE  X", "a           5  -", "longer  12345"],
  );
});

test("cli text: a command line as text gives a shell the same words, and leaves out where and how", async () => {
  const words = fc.array(
    fc.stringMatching(/^[ -~äö]*$/).filter((word) => !word.startsWith("-")),
    { maxLength: 5 },
  );
  await fc.assert(
    fc.asyncProperty(words, async (args) => {
      const text = callText(["import", ...args]);
      const said = await run("bash", ["-c", `printf '%s\\n' ${text}`]);
      assert.deepEqual(said.split("\n").slice(0, -1), ["import", ...args]);
    }),
    { numRuns: 30 },
  );
  assert.equal(
    callText(["--store", "/s", "clone", "-q", "base", "web", "--wait=3", "--json", "--no-color"]),
    "clone base web",
  );
});
