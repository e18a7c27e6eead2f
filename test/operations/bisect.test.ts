import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import fc from "fast-check";
import { bisect, create, importLayer, put, tag } from "../../src/index.ts";
import type { BisectParams, Bisected } from "../../src/index.ts";
import { stepsIn } from "../support/steps.ts";
import { findFirstBad } from "../../src/operations/first-bad.ts";
import type { Verdict } from "../../src/operations/first-bad.ts";
import { openTestHost } from "./support.ts";
import type { TestHost } from "./support.ts";

test("bisect: whatever breaks it and whatever cannot be tested, the first bad is in what is left, which is all that was skipped", async () => {
  const scene = fc.integer({ min: 2, max: 60 }).chain((count) =>
    fc.record({
      count: fc.constant(count),
      first: fc.integer({ min: 1, max: count - 1 }),
      skipped: fc.uniqueArray(fc.integer({ min: 1, max: count - 1 })),
    }),
  );
  await fc.assert(
    fc.asyncProperty(scene, async ({ count, first, skipped }) => {
      const tested = new Set<number>();
      const verdict = (state: number): Verdict =>
        skipped.includes(state) ? "skipped" : state < first ? "good" : "bad";
      const { good, bad } = await findFirstBad(count, (state) => {
        assert.ok(!tested.has(state) && state > 0 && state < count - 1);
        tested.add(state);
        return Promise.resolve(verdict(state));
      });
      assert.ok(good < first && first <= bad);
      for (let state = good + 1; state < bad; state++) assert.ok(skipped.includes(state));
      const most = Math.ceil(Math.log2(count)) + skipped.length;
      assert.ok(tested.size <= most, `${tested.size} tests of ${count} states`);
    }),
    { numRuns: 500 },
  );
});

/** Layers l0 to l`count - 1`, each with its number in `n`. */
async function chain(at: TestHost, count: number): Promise<void> {
  rmSync(`${at.source}/bin/tool`);
  for (let number = 0; number < count; number++) {
    writeFileSync(`${at.source}/n`, `${number}\n`);
    const parent = number === 0 ? {} : { parent: `l${number - 1}` };
    await importLayer(at.context, { source: at.source, name: `l${number}`, message: `change ${number}`, ...parent });
  }
}

function bisecting(at: TestHost): (good: string, bad: string, script: string) => Promise<Bisected> {
  const steps = stepsIn(at.context);
  return (good, bad, script) => {
    const params: BisectParams = { good, bad, program: ["/bin/sh", "-c", script], isExported: true };
    return bisect(steps, params);
  };
}

function leftovers(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("delta0-bisect-"));
}

test("bisect --export: of 40 layers, wherever it broke, that one is found in six tests", async () => {
  await using at = await openTestHost();
  const before = leftovers();
  await chain(at, 40);
  const find = bisecting(at);
  for (let first = 1; first < 40; first++) {
    const { firstBad, lastGood, steps } = await find("l0", "l39", `test $(cat n) -lt ${first}`);
    assert.deepEqual([firstBad?.names, firstBad?.message], [[`l${first}`], `change ${first}`]);
    assert.deepEqual(lastGood.names, [`l${first - 1}`]);
    assert.ok(steps.length <= 6);
  }
  assert.deepEqual(leftovers(), before);
});

test("bisect --export: the files are in its directory and at $DELTA0_ROOT; skipped ones leave several; what it changes is gone", async () => {
  await using at = await openTestHost();
  await chain(at, 8);
  const find = bisecting(at);
  const script = `echo x >>n; test "$(pwd -P)" = "$(cd "$DELTA0_ROOT"; pwd -P)" && case $(head -1 n) in [345]) exit 125;; [67]) exit 9;; esac`;
  const found = await find("l0", "l7", script);
  assert.deepEqual([found.firstBad, found.lastGood.names], [null, ["l2"]]);
  assert.deepEqual(
    found.candidates.map(({ names }) => names.join()),
    ["l3", "l4", "l5", "l6"],
  );
  assert.ok(found.steps.some(({ exitCode, verdict }) => exitCode === 125 && verdict === "skipped"));
  assert.ok(found.steps.some(({ exitCode, verdict }) => exitCode === 9 && verdict === "bad"));
});

test("bisect: a container's own changes are a state, layers without names too, and those that change nothing are none", async () => {
  await using at = await openTestHost();
  await chain(at, 3);
  await importLayer(at.context, { source: at.source, name: "same", parent: "l2" });
  await create(at.context, { source: "same", name: "web", noLxc: true });
  const find = bisecting(at);
  const { firstBad, steps } = await find("l0", "web", "exit 1");
  assert.deepEqual([firstBad?.names, steps.length], [["l1"], 1], "l2, same and web are one state");
  writeFileSync(`${at.path}/file`, "7\n");
  await put(at.context, { sources: [`${at.path}/file`], target: "web:/n", noTargetDirectory: true });
  await tag(at.context, { ref: "l0", name: "again" });
  const found = await find("again", "web", "test $(cat n) -lt 7");
  assert.deepEqual([found.firstBad?.type, found.firstBad?.names], ["container", ["web"]]);
  assert.deepEqual(found.lastGood.names, ["l2"]);
});

test("bisect: no ancestor, no difference, a program that is none, and one that says it is over", async () => {
  await using at = await openTestHost();
  await chain(at, 6);
  const find = bisecting(at);
  await assert.rejects(find("l5", "l0", "true"), { code: "USAGE" });
  await assert.rejects(find("l1", "l1", "true"), { code: "USAGE" });
  await assert.rejects(find("l0", "none", "true"), { code: "NOT_FOUND" });
  await assert.rejects(find("l0", "l5", "exit 130"), { code: "PROGRAM_FAILED" });
  await assert.rejects(find("l0", "l5", "kill -9 $$"), { code: "PROGRAM_FAILED" });
  await assert.rejects(bisect(stepsIn(at.context), { good: "l0", bad: "l5", program: ["./none"], isExported: true }), {
    code: "PROGRAM_FAILED",
  });
  const log = `${at.path}/log`;
  const found = await find("l0", "l5", `cat n >>${log}; test $(cat n) -lt 4 || exec ./gone`);
  assert.deepEqual([found.firstBad?.names, found.steps.some(({ exitCode }) => exitCode === 127)], [["l4"], true]);
  assert.ok(existsSync(log) && readFileSync(log, "utf8").split("\n").includes("0"), "it was tried in GOOD");
  const signal = AbortSignal.abort(new Error("enough"));
  const stopped = stepsIn({ ...at.context, signal });
  const params = { good: "l0", bad: "l5", program: ["/bin/true"], isExported: true };
  await assert.rejects(bisect(stopped, params, signal), /enough/);
  assert.deepEqual(leftovers(), []);
});
