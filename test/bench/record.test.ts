import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isWorse, warnings } from "../../bench/record/compare.ts";
import { digits, isRate } from "../../bench/record/figure.ts";
import type { Figure, Unit } from "../../bench/record/figure.ts";
import { plot } from "../../bench/record/plot.ts";
import type { BenchRecord } from "../../bench/record/record.ts";
import { table } from "../../bench/record/table.ts";

const UNITS: readonly Unit[] = ["s", "ms", "µs", "MB", "MB/s", "/s", "bytes", "ratio", "count"];

const samples = (): fc.Arbitrary<number[]> =>
  fc.array(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 15 });
const figures = (): fc.Arbitrary<Figure[]> =>
  fc.uniqueArray(
    fc.record({
      what: fc.constantFrom("import", "export of a tree"),
      who: fc.constantFrom("delta0", "delta0 again", "borg zstd,3", "floor: read <all> & more"),
      unit: fc.constantFrom(...UNITS),
      samples: samples(),
      at: fc.constantFrom({ axis: "files", value: 10 }, { axis: "files", value: 100_000 }),
    }),
    { minLength: 1, maxLength: 12, selector: ({ what, who, unit, at }) => `${what} ${who} ${unit} ${at.value}` },
  );

test("comparison: a record is no worse than itself, and misses nothing", () => {
  fc.assert(fc.property(figures(), (some) => assert.deepEqual(warnings(record(some), record(some)), [])));
});

test("comparison: every figure of ours that is twice as bad is a regression, and no other is", () => {
  fc.assert(
    fc.property(figures(), (some) => {
      const steady = some.map((figure) => ({ ...figure, samples: figure.samples.slice(0, 1) }));
      const ours = steady.filter(({ who }) => who.startsWith("delta0"));
      const found = warnings(record(steady), record(steady.map((figure) => scaled(figure, 2, "worse"))));
      assert.equal(found.length, ours.length);
      for (const [i, line] of found.entries()) assert.match(line, new RegExp(`^regression: ${ours[i]?.what ?? ""} `));
      assert.deepEqual(warnings(record(steady), record(steady.map((figure) => scaled(figure, 2, "better")))), []);
    }),
  );
});

test("comparison: what is within noise is no regression", () => {
  const before: Figure = { what: "import", who: "delta0", unit: "s", samples: [1, 1.02, 1.3] };
  assert.equal(isWorse(before, { ...before, samples: [1.05, 1.08, 1.09] }), false, "less than a tenth");
  assert.equal(isWorse(before, { ...before, samples: [1.25, 1.4, 1.5] }), false, "ranges that overlap");
  assert.equal(isWorse(before, { ...before, samples: [1.2, 1.22] }), false, "few samples");
  assert.equal(isWorse(before, { ...before, samples: [1.35, 1.4, 1.5] }), true);
  const many = { ...before, samples: [...Array.from({ length: 20 }, (_, i) => 1 + i / 1000), 9] };
  assert.equal(isWorse(many, { ...before, samples: [1.3, 1.3, 1.3] }), true, "one outlier of many hides nothing");
});

test("comparison: figures that are gone are named; times of another machine are not compared, sizes are", () => {
  const size: Figure = { what: "stored", who: "delta0", unit: "MB", samples: [100] };
  const time: Figure = { what: "import", who: "delta0", unit: "s", samples: [1, 1, 1] };
  assert.deepEqual(warnings(record([size, time]), record([size])), ["missing: import (delta0)"]);
  const elsewhere = record([scaled(size, 2, "worse"), scaled(time, 2, "worse")], "another");
  const lines = warnings(record([size, time]), elsewhere);
  assert.deepEqual(
    lines.map((line) => line.split(":")[0]),
    ["the last record is of another machine (a processor)", "regression"],
  );
});

test("digits: three, whatever the size of a number", () => {
  const written = [0, 0.9999, 99.96, 4.5, 0.0001234, 12_345, -1.5].map(digits);
  assert.deepEqual(written, ["0", "1.00", "100", "4.50", "0.000123", "12 345", "-1.50"]);
});

test("plot: the same figures give the same bytes, whatever was drawn before", () => {
  fc.assert(
    fc.property(figures(), fc.boolean(), (some, onCurves) => {
      const drawn = onCurves ? some : some.map(({ what, who, unit, samples }) => ({ what, who, unit, samples }));
      const [report] = record(drawn).reports;
      const svg = plot(record([]), report!);
      plot(record([]), { ...report!, figures: drawn.slice(0, 1) });
      assert.equal(plot(record([]), report!), svg);
      assert.match(svg, /^<svg [\s\S]*<\/svg>\n$/);
      assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
    }),
    { numRuns: 20 },
  );
});

test("table: each figure has its line, and what is set against the floor says how many times it takes", () => {
  const text = table([
    { what: "import", who: "delta0", unit: "s", samples: [3, 2, 4] },
    { what: "import", who: "floor: read", unit: "s", samples: [1.5] },
    { what: "stored", who: "delta0", unit: "bytes", samples: [1000] },
  ]);
  assert.deepEqual(
    text.split("\n").map((line) => line.trim().replace(/ {2,}/g, "|")),
    ["import", "delta0|3.00 s|2.00 s to 4.00 s of 3|2.00 times", "floor: read|1.50 s", "stored|1.00 kB", ""],
  );
});

function scaled(figure: Figure, factor: number, direction: "worse" | "better"): Figure {
  const up = isRate(figure.unit) === (direction === "better");
  return { ...figure, samples: figure.samples.map((sample) => (up ? sample * factor : sample / factor)) };
}

function record(all: readonly Figure[], cpu = "a processor"): BenchRecord {
  return {
    bench: "bench",
    date: "2026-11-25T12:00:00.000Z",
    commit: "abc1234",
    node: "v20.20.0",
    machine: { cpu, cores: 2, memoryMB: 8000, kernel: "6.1" },
    filesystems: ["ext4, on a loop device"],
    load: { start: [0, 0, 0], end: [1, 1, 1] },
    peers: { borg: "1.2.4" },
    reports: [{ title: "a report", figures: all, notes: [] }],
  };
}
