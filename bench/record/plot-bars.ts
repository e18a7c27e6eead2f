import type { CustomSeriesOption } from "echarts";
import { isOurs, median, quantity, range, shortDigits } from "./figure.ts";
import type { Figure } from "./figure.ts";
import {
  direction,
  FAINT_INK,
  INK,
  LINE_HEIGHT,
  MARGIN,
  OURS,
  panelTitles,
  PANEL_TITLE_HEIGHT,
  RULE,
  wrap,
} from "./plot-layout.ts";
import type { Panel } from "./plot-layout.ts";

const LABEL_CHARACTERS = 46;
const LABELS_WIDTH = 300;
const VALUES_WIDTH = 230;
/** Beyond it the shorter bars would not be seen. */
const LINEAR_RATIO = 60;
const AXIS_HEIGHT = 22;

/** Bars of the same unit: of one thing, named by whose they are, or else of several things. */
export function bars(figures: readonly Figure[], top: number): Panel {
  const { unit, what } = figures[0]!;
  const beside = figures[1]?.what === what;
  const labels = figures.map((figure) => wrap(label(figure, beside), LABEL_CHARACTERS));
  const rowHeight = 11 + LINE_HEIGHT * Math.max(...labels.map((lines) => lines.length));
  const medians = figures.map(({ samples }) => median(samples));
  const ranges = figures.map(({ samples }) => range(samples));
  const least = Math.min(...medians);
  const logarithmic = least > 0 && Math.max(...medians) / least > LINEAR_RATIO;
  const start = 10 ** Math.floor(Math.log10(least / 2));
  const height = rowHeight * figures.length;
  return {
    height: PANEL_TITLE_HEIGHT + height + (logarithmic ? AXIS_HEIGHT : 0),
    titles: panelTitles(beside ? what : "", `${direction(unit)}${logarithmic ? ", logarithmic" : ""}`, top),
    grid: { left: MARGIN + LABELS_WIDTH, right: MARGIN + VALUES_WIDTH, top: top + PANEL_TITLE_HEIGHT, height },
    xAxis: logarithmic
      ? {
          type: "log",
          min: start,
          startValue: start,
          max: Math.max(...ranges.map(({ most }) => most)),
          axisLabel: {
            color: FAINT_INK,
            fontSize: 10,
            formatter: (value) => quantity(value, unit, shortDigits),
            hideOverlap: true,
            showMaxLabel: false,
          },
          splitLine: { lineStyle: { color: RULE } },
        }
      : { type: "value", min: 0, max: Math.max(...ranges.map(({ most }) => most)) || 1, show: false },
    yAxes: [
      categories(
        labels.map((lines) => lines.join("\n")),
        (i) => (isOurs(figures[i]!) ? OURS : INK),
      ),
      { ...categories(figures.map(value), () => INK), position: "right", axisLine: { show: false } },
    ],
    series: [
      {
        type: "bar",
        barWidth: 14,
        data: medians.map((value, i) => ({ value, itemStyle: style(figures[i]!) })),
      },
      whiskers(ranges),
    ],
  };
}

function label(figure: Figure, beside: boolean): string {
  if (beside) return figure.who;
  return figure.who === "delta0" ? figure.what : `${figure.what}: ${figure.who}`;
}

function value({ samples, unit }: Figure): string {
  const { least, most } = range(samples);
  const [low, high] = [quantity(least, unit), quantity(most, unit)];
  return `${quantity(median(samples), unit)}${low === high ? "" : `  (${low} to ${high})`}`;
}

function categories(data: readonly string[], color: (i: number) => string) {
  return {
    type: "category" as const,
    inverse: true,
    data: [...data],
    axisTick: { show: false },
    axisLine: { show: true, lineStyle: { color: RULE } },
    axisLabel: { interval: 0, fontSize: 12, lineHeight: LINE_HEIGHT, color: (_: unknown, i?: number) => color(i ?? 0) },
  };
}

function style(figure: Figure): object {
  if (isOurs(figure)) return { color: OURS };
  return figure.who.startsWith("floor") ? { color: "#ffffff", borderColor: "#8c959f" } : { color: "#afb8c1" };
}

function whiskers(ranges: readonly { readonly least: number; readonly most: number }[]): CustomSeriesOption {
  return {
    type: "custom",
    silent: true,
    z: 3,
    data: ranges.flatMap(({ least, most }, i) => (least === most ? [] : [[least, i, most]])),
    renderItem: (_params, api) => {
      const [x1 = 0, y = 0] = api.coord([api.value(0), api.value(1)]);
      const [x2 = 0] = api.coord([api.value(2), api.value(1)]);
      return {
        type: "group",
        children: [
          [x1, y, x2, y],
          [x1, y - 4, x1, y + 4],
          [x2, y - 4, x2, y + 4],
        ].map(([x1 = 0, y1 = 0, x2 = 0, y2 = 0]) => ({
          type: "line" as const,
          shape: { x1, y1, x2, y2 },
          style: { stroke: INK, lineWidth: 1 },
        })),
      };
    },
    encode: { x: 0, y: 1 },
  };
}
