import { baseOf, digits, median, panels, quantity, shortDigits } from "./figure.ts";
import type { Figure } from "./figure.ts";

/** Figures as text: median, least and most, and how many times the panel's floor, or its first, that is. */
export function table(figures: readonly Figure[]): string {
  const rows = panels(figures).flatMap((panel) =>
    panel.length === 1 && panel[0]?.at === undefined ? [single(panel[0]!)] : together(panel),
  );
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")}`.trimEnd() + "\n")
    .join("");
}

type Row = readonly string[];

function single(figure: Figure): Row {
  return [`${figure.what}${figure.who === "delta0" ? "" : `: ${figure.who}`}`, ...cells(figure), ""];
}

function together(panel: readonly Figure[]): Row[] {
  const { what, at } = panel[0]!;
  return [
    [`${what}${at === undefined ? "" : `, by ${at.axis}`}`, "", "", ""],
    ...panel.map((figure): Row => {
      const base = baseOf(figure, panel);
      return [`  ${figure.who}${place(figure)}`, ...cells(figure), base === undefined ? "" : times(figure, base)];
    }),
  ];
}

function times(figure: Figure, base: Figure): string {
  const of = median(base.samples);
  return of > 0 ? `${digits(median(figure.samples) / of)} times` : "";
}

function place({ at }: Figure): string {
  return at === undefined ? "" : ` at ${shortDigits(at.value)}`;
}

function cells({ samples, unit }: Figure): readonly [string, string] {
  const [least, most] = [Math.min(...samples), Math.max(...samples)];
  const spread = samples.length === 1 ? "" : `${quantity(least, unit)} to ${quantity(most, unit)} of ${samples.length}`;
  return [quantity(median(samples), unit), spread];
}
