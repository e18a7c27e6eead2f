import { median, quantity, shortDigits } from "./figure.ts";
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
  WIDTH,
  wrap,
} from "./plot-layout.ts";
import type { Panel } from "./plot-layout.ts";

const HEIGHT = 280;
const AXIS_HEIGHT = 44;
const AXIS_WIDTH = 64;
const LEGEND_WIDTH = 250;
const LEGEND_CHARACTERS = 34;
/** From where on what is left of an axis is a corner, unless it is logarithmic. */
const LINEAR_RATIO = 20;
const PEERS = ["#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#9a6700", "#0a7d8c"];
const OURS_BESIDES = ["#54aeff", "#0a3069", "#218bff"];

/** Lines of one thing, measured along an axis, for each of those it was measured of. */
export function curves(figures: readonly Figure[], top: number): Panel {
  const { what, unit, at } = figures[0]!;
  const lines = new Map<string, Figure[]>();
  for (const figure of figures) lines.set(figure.who, [...(lines.get(figure.who) ?? []), figure]);
  // ECharts takes series of the same name for one, in other panels too.
  const names = new Map(Array.from(lines.keys(), (who) => [`${top} ${who}`, who]));
  const colors = colorsOf([...lines.keys()]);
  return {
    height: PANEL_TITLE_HEIGHT + HEIGHT + AXIS_HEIGHT,
    titles: panelTitles(what, direction(unit), top),
    legend: {
      orient: "vertical",
      left: WIDTH - MARGIN - LEGEND_WIDTH + 12,
      top: top + PANEL_TITLE_HEIGHT,
      data: [...names.keys()],
      formatter: (name) => wrap(names.get(name) ?? name, LEGEND_CHARACTERS).join("\n"),
      textStyle: { color: INK, fontSize: 12, lineHeight: LINE_HEIGHT },
    },
    grid: { left: MARGIN + AXIS_WIDTH, right: MARGIN + LEGEND_WIDTH, top: top + PANEL_TITLE_HEIGHT, height: HEIGHT },
    xAxis: {
      ...axis(figures.map(place), shortDigits),
      name: at?.axis ?? "",
      nameLocation: "middle",
      nameGap: 28,
      nameTextStyle: { color: INK },
    },
    yAxes: [
      axis(
        figures.map(({ samples }) => median(samples)),
        (value) => quantity(value, unit, shortDigits),
      ),
    ],
    series: Array.from(names, ([name, who]) => ({
      type: "line",
      name,
      data: lines
        .get(who)!
        .map((figure) => [place(figure), median(figure.samples)])
        .sort(([a = 0], [b = 0]) => a - b),
      symbol: "circle",
      symbolSize: 6,
      lineStyle: { width: who.startsWith("delta0") ? 2.5 : 1.5, type: who.startsWith("floor") ? "dashed" : "solid" },
      itemStyle: { color: colors.get(who)! },
    })),
  };
}

function place({ at }: Figure): number {
  return at?.value ?? 0;
}

function axis(values: readonly number[], formatter: (value: number) => string) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const logarithmic = least > 0 && most / least > LINEAR_RATIO;
  return {
    type: logarithmic ? ("log" as const) : ("value" as const),
    axisLabel: { color: FAINT_INK, fontSize: 11, formatter, hideOverlap: true, margin: 10 },
    axisLine: { show: true, lineStyle: { color: FAINT_INK } },
    splitLine: { lineStyle: { color: RULE } },
  };
}

function colorsOf(whose: readonly string[]): Map<string, string> {
  const [peers, ours] = [[...PEERS], [OURS, ...OURS_BESIDES]];
  return new Map(
    whose.map((who) => {
      const color = who.startsWith("delta0") ? ours.shift() : who.startsWith("floor") ? FAINT_INK : peers.shift();
      return [who, color ?? INK];
    }),
  );
}
