import { digits, isOurs, isRate, median, quantity, range, shortDigits } from "./figure.ts";
import type { Figure } from "./figure.ts";
import type { BenchRecord, Report } from "./record.ts";

/** Where fewer samples than this were taken of a time or rate, a tenth says nothing. */
const FEW_SAMPLES = 3;

/**
 * What the reader of a new record should know of its difference to the last one, a line each: "regression: …" for a figure of ours that is worse
 * beyond noise, "missing: …" for any figure that is not there any more. Times and rates are compared on one machine only.
 *
 * Beyond noise is what is worse by more than a tenth (a quarter, of a time or rate with fewer than three samples on either side), if
 * the ranges do not overlap as well. A machine that was slower as a whole shows in what was measured beside it, which the line says.
 */
export function warnings(before: BenchRecord, after: BenchRecord): string[] {
  const sameMachine = before.machine.cpu === after.machine.cpu && before.machine.cores === after.machine.cores;
  const lines: string[] = [];
  if (!sameMachine) lines.push(`the last record is of another machine (${before.machine.cpu}): no time is compared`);
  const [olds, news] = [keyed(before.reports), keyed(after.reports)];
  for (const [key, old] of olds) {
    const figure = news.get(key);
    if (figure === undefined) lines.push(`missing: ${name(old)}`);
    else if (isOurs(figure) && (sameMachine || !depends(figure)) && isWorse(old, figure))
      lines.push(
        `regression: ${name(figure)}: ${difference(old, figure)} at ${before.commit}${beside(figure, olds, news)}`,
      );
  }
  return lines;
}

export function isWorse(before: Figure, after: Figure): boolean {
  const few = Math.min(before.samples.length, after.samples.length) < FEW_SAMPLES;
  const allowed = few && depends(after) ? 1.25 : 1.1;
  const [old, now] = [median(before.samples), median(after.samples)];
  const [oldRange, nowRange] = [range(before.samples), range(after.samples)];
  return isRate(after.unit)
    ? now * allowed < old && nowRange.most < oldRange.least
    : now > old * allowed && nowRange.least > oldRange.most;
}

/** Whether the machine has a say in it. */
function depends({ unit }: Figure): boolean {
  return isRate(unit) || unit === "s" || unit === "ms" || unit === "µs";
}

function keyed(reports: readonly Report[]): Map<string, Figure> {
  return new Map(
    reports.flatMap(({ title, figures }) =>
      figures.map((figure) => {
        const { what, who, unit, at } = figure;
        return [JSON.stringify([title, what, who, unit, at?.axis, at?.value]), figure];
      }),
    ),
  );
}

function name({ what, who, at }: Figure): string {
  return `${what} (${who}${at === undefined ? "" : `, ${at.axis} ${shortDigits(at.value)}`})`;
}

function difference(before: Figure, after: Figure): string {
  const [old, now] = [median(before.samples), median(after.samples)];
  return `${quantity(now, after.unit)}, ${digits(now / old)} times the ${quantity(old, before.unit)}`;
}

/** How those that are not ours have changed at the same place: what the machine did to all. */
function beside(figure: Figure, olds: ReadonlyMap<string, Figure>, news: ReadonlyMap<string, Figure>): string {
  const ratios = [...news].flatMap(([key, other]) => {
    const old = olds.get(key);
    const together = other.what === figure.what && other.unit === figure.unit && other.at?.value === figure.at?.value;
    return together && old !== undefined && !isOurs(other) ? [median(other.samples) / median(old.samples)] : [];
  });
  return ratios.length === 0 ? "" : `; what is not ours beside it: ${digits(median(ratios))} times`;
}
