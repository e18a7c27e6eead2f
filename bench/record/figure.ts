/**
 * What a bench measures. Whether more or less of it is better follows from the unit: MB/s and /s are rates, of all else less is better.
 * A MB is 10^6 bytes.
 */
export type Unit = "s" | "ms" | "µs" | "MB" | "MB/s" | "/s" | "bytes" | "ratio" | "count";

export interface Figure {
  /** What was measured, a row of the table and a panel of the plot: "import of four root filesystems". */
  readonly what: string;
  /** Whose it is: "delta0", "borg zstd,3", "floor: read chunks/". Ours begin with "delta0", floors with "floor". */
  readonly who: string;
  readonly unit: Unit;
  /** One for each round. */
  readonly samples: readonly number[];
  /** Where it lies on a curve. */
  readonly at?: { readonly axis: string; readonly value: number };
}

/** Figures that grow a sample at a time, for programs that measure several things in turns. In the order of their first samples. */
export class Samples {
  readonly #figures = new Map<string, Figure & { readonly samples: number[] }>();

  add(of: Omit<Figure, "samples">, ...samples: readonly number[]): void {
    const key = JSON.stringify([of.what, of.who, of.unit, of.at?.axis, of.at?.value]);
    const figure = this.#figures.get(key) ?? { ...of, samples: [] };
    figure.samples.push(...samples);
    this.#figures.set(key, figure);
  }

  get figures(): Figure[] {
    return [...this.#figures.values()];
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** From the least to the most of up to ten; of more, where some are always far out, three median absolute deviations about the median. */
export function range(samples: readonly number[]): { readonly least: number; readonly most: number } {
  const [least, most] = [Math.min(...samples), Math.max(...samples)];
  if (samples.length <= 10) return { least, most };
  const middle = median(samples);
  const deviation = 3 * median(samples.map((sample) => Math.abs(sample - middle)));
  return { least: Math.max(least, middle - deviation), most: Math.min(most, middle + deviation) };
}

export function isOurs({ who }: Figure): boolean {
  return who.startsWith("delta0");
}

export function isRate(unit: Unit): boolean {
  return unit.endsWith("/s");
}

/** What belongs side by side: the same thing, measured in the same unit. In the order in which they come first. */
export function panels(figures: readonly Figure[]): Figure[][] {
  const byWhat = new Map<string, Figure[]>();
  for (const figure of figures) {
    const key = JSON.stringify([figure.what, figure.unit, figure.at?.axis]);
    byWhat.set(key, [...(byWhat.get(key) ?? []), figure]);
  }
  return [...byWhat.values()];
}

/** What the others of a panel are set against, at the same place of a curve: a floor, or else the first. */
export function baseOf(figure: Figure, panel: readonly Figure[]): Figure | undefined {
  const beside = panel.filter(({ at }) => at?.value === figure.at?.value);
  const base = beside.find(({ who }) => who.startsWith("floor")) ?? beside[0];
  return base === figure ? undefined : base;
}

/** Three digits of a number, or all before its point: "0.0123", "4.50", "12 300". */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  // Rounded before: 0.9999 has two places after its point then, as 1 has.
  const magnitude = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(3)))));
  const decimals = value === 0 ? 0 : Math.min(Math.max(0, 2 - magnitude), 9);
  const [whole = "", ...part] = value.toFixed(decimals).split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, " "), ...part].join(".");
}

/** The same without zeros that say nothing: "4.5". */
export function shortDigits(value: number): string {
  const text = digits(value);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** With its unit, in one that keeps it short: 0.0041 s are 4.10 ms. */
export function quantity(value: number, unit: Unit, write: typeof digits = digits): string {
  const [scaled, name] = scale(value, unit);
  if (value === 0 || unit === "count") return shortDigits(scaled);
  return `${name === "bytes" ? shortDigits(scaled) : write(scaled)} ${name}`;
}

function scale(value: number, unit: Unit): readonly [number, string] {
  switch (unit) {
    case "s":
      return value < 0.1 ? scale(value * 1000, "ms") : [value, "s"];
    case "ms":
      return value < 0.1 ? [value * 1000, "µs"] : value >= 1000 ? [value / 1000, "s"] : [value, "ms"];
    case "µs":
      return value >= 1000 ? scale(value / 1000, "ms") : [value, "µs"];
    case "bytes":
      return value >= 1e6 ? [value / 1e6, "MB"] : value >= 1e3 ? [value / 1e3, "kB"] : [value, "bytes"];
    case "MB":
      return value >= 1e4 ? [value / 1e3, "GB"] : [value, "MB"];
    case "MB/s":
      return value >= 1e3 ? [value / 1e3, "GB/s"] : [value, "MB/s"];
    case "/s":
      return value >= 1e6 ? [value / 1e6, "M/s"] : value >= 1e3 ? [value / 1e3, "k/s"] : [value, "/s"];
    case "ratio":
      return [value, "times"];
    case "count":
      return [value, ""];
  }
}
