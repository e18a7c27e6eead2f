import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { reasonsToKeep } from "../../src/operations/retention.ts";
import type { Retainable, RetentionRules } from "../../src/operations/retention.ts";

const at = (...times: readonly string[]): Retainable[] => times.map((time) => ({ created: time, isPinned: false }));

/** Five days of one a day, two on the last, the newest first. */
const DAILY = at(
  "2026-01-05T18:00:00.000000000Z",
  "2026-01-05T06:00:00.000000000Z",
  "2026-01-04T06:00:00.000000000Z",
  "2026-01-03T06:00:00.000000000Z",
  "2026-01-01T06:00:00.000000000Z",
);

interface Row {
  readonly what: string;
  readonly things: readonly Retainable[];
  readonly rules: RetentionRules;
  readonly reasons: readonly string[];
}

const ROWS: readonly Row[] = [
  { what: "the last ones", things: DAILY, rules: { keepLast: 2 }, reasons: ["last 1", "last 2", "", "", ""] },
  {
    what: "the newest of each day that has one",
    things: DAILY,
    rules: { keepDaily: 3 },
    reasons: ["daily 2026-01-05", "", "daily 2026-01-04", "daily 2026-01-03", ""],
  },
  {
    what: "the oldest, while there are days left",
    things: DAILY.slice(0, 2),
    rules: { keepDaily: 3 },
    reasons: ["daily 2026-01-05", "oldest for daily 2026-01-05"],
  },
  {
    what: "hours by the clock, not by distance",
    things: at("2026-01-05T10:00:00.000000000Z", "2026-01-05T09:59:59.999000000Z", "2026-01-05T09:00:00.000000000Z"),
    rules: { keepHourly: 2 },
    reasons: ["hourly 2026-01-05T10h", "hourly 2026-01-05T09h", ""],
  },
  {
    what: "weeks from Monday, of the year of their Thursday",
    things: at("2026-01-05T00:00:00.000000000Z", "2026-01-04T23:59:59.000000000Z", "2025-12-29T00:00:00.000000000Z"),
    rules: { keepWeekly: 2 },
    reasons: ["weekly 2026-W02", "weekly 2026-W01", ""],
  },
  {
    what: "week 53 of a long year",
    things: at("2021-01-03T12:00:00.000000000Z"),
    rules: { keepWeekly: 1 },
    reasons: ["weekly 2020-W53"],
  },
  {
    what: "months and years of UTC, whatever summer time is kept where this runs",
    things: at("2026-04-01T00:30:00.000000000Z", "2026-03-31T23:30:00.000000000Z", "2025-12-31T23:59:00.000000000Z"),
    rules: { keepMonthly: 2, keepYearly: 2 },
    reasons: ["monthly 2026-04, yearly 2026", "monthly 2026-03", "yearly 2025"],
  },
  {
    what: "what is within a time of the newest, not of now",
    things: DAILY,
    rules: { keepWithinSeconds: 36 * 3600 },
    reasons: ["within", "within", "within", "", ""],
  },
  {
    what: "what is pinned, beside what any rule keeps",
    things: DAILY.map((thing, i) => ({ ...thing, isPinned: i === 4 })),
    rules: { keepLast: 1, keepDaily: 1 },
    reasons: ["last 1, daily 2026-01-05", "", "", "", "pinned"],
  },
  { what: "nothing of nothing", things: [], rules: { keepLast: 3, keepDaily: 3, keepWithinSeconds: 5 }, reasons: [] },
];

for (const { what, things, rules, reasons } of ROWS) {
  test(`retention: keeps ${what}`, () => {
    assert.deepEqual(
      reasonsToKeep(things, rules).map((list) => list.join(", ")),
      reasons,
    );
  });
}

const COUNTS = ["keepLast", "keepHourly", "keepDaily", "keepWeekly", "keepMonthly", "keepYearly"] as const;
const things = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 3 * 365 * 86_400 }), fc.boolean()))
  .map((list) => list.sort(([a], [b]) => b - a))
  .map((list) =>
    list.map(([second, isPinned]): Retainable => ({
      created: new Date(1_700_000_000_000 + second * 1000).toISOString().replace("Z", "000000Z"),
      isPinned,
    })),
  );
const rules = fc.record(
  Object.fromEntries(
    [...COUNTS, "keepWithinSeconds"].map((key) => [key, fc.nat(key === "keepWithinSeconds" ? 1e8 : 40)]),
  ),
  { requiredKeys: [] },
) as fc.Arbitrary<RetentionRules>;

test("retention: what is dated in the future is within any time, and nothing is old because of it", () => {
  const things = at("2099-01-01T00:00:00.000000000Z", ...DAILY.map(({ created }) => created));
  const now = Date.parse("2026-01-06T00:00:00Z");
  const reasons = reasonsToKeep(things, { keepWithinSeconds: 86_400 }, now);
  assert.deepEqual(reasons, [["within"], ["within"], ["within"], [], [], []]);
  assert.deepEqual(reasonsToKeep(things.slice(0, 1), { keepWithinSeconds: 1 }, now), [["within"]]);
});

test("retention: a larger number keeps all that a smaller one does; rules add up; the newest and what is pinned stay", () => {
  fc.assert(
    fc.property(things, rules, rules, fc.nat(5), (list, some, others, more) => {
      const kept = (rules: RetentionRules): boolean[] => reasonsToKeep(list, rules).map(({ length }) => length > 0);
      const larger = Object.fromEntries(Object.entries(some).map(([key, value]) => [key, Number(value) + more]));
      const [before, after] = [kept(some), kept(larger)];
      before.forEach((isKept, i) => assert.ok(!isKept || after[i], `${i} with larger numbers`));
      const both = kept({ ...others, ...some });
      before.forEach((isKept, i) => assert.ok(!isKept || both[i], `${i} with more rules`));
      if (Object.values(some).some((value: number) => value > 0) && list.length > 0) assert.ok(before[0]);
      for (const [i, { isPinned }] of list.entries()) if (isPinned) assert.ok(before[i]);
    }),
  );
});

test("retention: of each period rule at most its number is kept, and one of each period but for the oldest", () => {
  fc.assert(
    fc.property(things, fc.constantFrom(...COUNTS), fc.nat(10), (list, rule, number) => {
      const unpinned = list.map((thing) => ({ ...thing, isPinned: false }));
      const reasons = reasonsToKeep(unpinned, { [rule]: number }).flat();
      assert.ok(reasons.length <= number);
      assert.equal(new Set(reasons).size, reasons.length);
      assert.ok(reasons.slice(0, -1).every((reason) => !reason.startsWith("oldest")));
    }),
  );
});
