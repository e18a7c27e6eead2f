import type {
  GridComponentOption,
  LegendComponentOption,
  SeriesOption,
  TitleComponentOption,
  XAXisComponentOption,
  YAXisComponentOption,
} from "echarts";
import type { Unit } from "./figure.ts";
import { isRate } from "./figure.ts";

export const WIDTH = 960;
export const MARGIN = 24;
export const LINE_HEIGHT = 15;
export const PANEL_TITLE_HEIGHT = 34;

export const INK = "#1f2328";
export const FAINT_INK = "#656d76";
export const RULE = "#d8dee4";
export const OURS = "#0969da";

/** A part of a plot, laid out: its axes and series belong to its one grid; series to its first y axis. */
export interface Panel {
  readonly height: number;
  readonly titles: readonly TitleComponentOption[];
  readonly legend?: LegendComponentOption;
  readonly grid: GridComponentOption;
  readonly xAxis: XAXisComponentOption;
  readonly yAxes: readonly YAXisComponentOption[];
  readonly series: readonly SeriesOption[];
}

/** At the upper edge of a panel, within PANEL_TITLE_HEIGHT; `hint` at its right end. */
export function panelTitles(what: string, hint: string, top: number): TitleComponentOption[] {
  const common = { top: top + 12, padding: 0 };
  return [
    {
      ...common,
      text: what,
      left: MARGIN,
      textStyle: { fontSize: 13, color: INK, width: WIDTH - 200, overflow: "truncate" },
    },
    {
      ...common,
      text: hint,
      left: WIDTH - MARGIN,
      textAlign: "right",
      textStyle: { fontSize: 11, fontWeight: "normal", color: FAINT_INK },
    },
  ];
}

export function direction(unit: Unit): string {
  return isRate(unit) ? "more is better" : "less is better";
}

/** Lines of at most `characters`, but for single words that are longer. */
export function wrap(text: string, characters: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < characters) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
