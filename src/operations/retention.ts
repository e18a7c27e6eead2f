/** What is kept of things that were made one after the other. A thing that any rule wants is kept. */
export interface RetentionRules {
  /** So many of the newest. */
  readonly keepLast?: number;
  /** The newest of each hour, for so many hours that have one; days, ISO weeks, months and years likewise, all in UTC. */
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  /** All that are at most so much older than the newest that is not in the future. */
  readonly keepWithinSeconds?: number;
}

export interface Retainable {
  /** RFC 3339, UTC. */
  readonly created: string;
  readonly isPinned: boolean;
}

/**
 * Why things are kept, for people; of those that are to go, nothing. A period's rule that has not had its number when there are no more
 * things keeps the oldest as well, so that as much of the past is left as was asked for.
 * Source: restic, internal/restic/snapshot_policy.go (ApplyPolicy), and doc/060_forget.rst, "Removing snapshots according to a policy".
 *
 * @param things the newest first
 * @returns for each of them, in that order
 */
export function reasonsToKeep(
  things: readonly Retainable[],
  rules: RetentionRules,
  now: number = Date.now(),
): string[][] {
  // One that a wrong clock has dated ahead must not make all others old.
  const newest = things.map(({ created }) => Date.parse(created)).find((time) => time <= now) ?? now;
  const reasons = things.map(({ created, isPinned }, i): string[] => [
    ...(isPinned ? ["pinned"] : []),
    ...(i < (rules.keepLast ?? 0) ? [`last ${i + 1}`] : []),
    ...(isWithin(newest - Date.parse(created), rules) ? ["within"] : []),
  ]);
  for (const { rule, adjective, periodOf } of PERIODS) {
    let left = rules[rule] ?? 0;
    let last: string | undefined;
    for (const [i, { created }] of things.entries()) {
      if (left === 0) break;
      const period = periodOf(created);
      const isOldest = i === things.length - 1;
      if (period === last && !isOldest) continue;
      reasons[i]?.push(`${period === last ? "oldest for " : ""}${adjective} ${period}`);
      last = period;
      left--;
    }
  }
  return reasons;
}

function isWithin(ageMs: number, { keepWithinSeconds }: RetentionRules): boolean {
  return keepWithinSeconds !== undefined && keepWithinSeconds > 0 && ageMs <= keepWithinSeconds * 1000;
}

/** Whether they keep anything at all: then the newest is among it. */
export function keepsAnything(rules: RetentionRules): boolean {
  return Object.values(rules).some((value: number) => value > 0);
}

interface Period {
  readonly rule: Exclude<keyof RetentionRules, "keepLast" | "keepWithinSeconds">;
  readonly adjective: string;
  /** The same text for all times of one period. */
  readonly periodOf: (time: string) => string;
}

const PERIODS: readonly Period[] = [
  { rule: "keepHourly", adjective: "hourly", periodOf: (time) => `${time.slice(0, 13)}h` },
  { rule: "keepDaily", adjective: "daily", periodOf: (time) => time.slice(0, 10) },
  { rule: "keepWeekly", adjective: "weekly", periodOf: isoWeek },
  { rule: "keepMonthly", adjective: "monthly", periodOf: (time) => time.slice(0, 7) },
  { rule: "keepYearly", adjective: "yearly", periodOf: (time) => time.slice(0, 4) },
];

const DAY_MS = 86_400_000;

/** "2026-W01": the week that begins on a Monday, of the year that its Thursday is in. */
function isoWeek(time: string): string {
  const day = new Date(`${time.slice(0, 10)}T00:00:00Z`);
  const thursday = new Date(day.getTime() + (4 - (day.getUTCDay() || 7)) * DAY_MS);
  const year = thursday.getUTCFullYear();
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * DAY_MS)) + 1;
  return `${year}-W${String(week).padStart(2, "0")}`;
}
