import { init } from "echarts";
import { panels } from "./figure.ts";
import type { Figure } from "./figure.ts";
import { bars } from "./plot-bars.ts";
import { curves } from "./plot-curves.ts";
import { FAINT_INK, LINE_HEIGHT, MARGIN, WIDTH, wrap } from "./plot-layout.ts";
import type { Panel } from "./plot-layout.ts";
import type { BenchRecord, Report } from "./record.ts";

/**
 * One report as SVG: panels of bars one below the other, and of lines for what lies on curves. The background is opaque, so that dark viewers
 * show it too. The same report gives the same bytes.
 */
export function plot(record: Omit<BenchRecord, "reports">, { title, figures }: Report): string {
  const titleLines = wrap(title, 88);
  let top = MARGIN + titleLines.length * 22 + LINE_HEIGHT;
  const all: Panel[] = [];
  for (const panel of grouped(panels(figures))) {
    const made = panel[0]?.at === undefined ? bars(panel, top) : curves(panel, top);
    all.push(made);
    top += made.height;
  }
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: top + MARGIN });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: "Helvetica, Arial, DejaVu Sans, sans-serif" },
    title: [
      {
        text: titleLines.join("\n"),
        subtext: origin(record),
        left: MARGIN,
        top: MARGIN / 2,
        padding: 0,
        itemGap: 6,
        textStyle: { fontSize: 16, lineHeight: 22 },
        subtextStyle: { fontSize: 11, color: FAINT_INK },
      },
      ...all.flatMap(({ titles }) => titles),
    ],
    legend: all.flatMap(({ legend }) => legend ?? []),
    grid: all.map(({ grid }) => grid),
    xAxis: all.map(({ xAxis }, gridIndex) => ({ ...xAxis, gridIndex })),
    yAxis: all.flatMap(({ yAxes }, gridIndex) => yAxes.map((axis) => ({ ...axis, gridIndex }))),
    series: all.flatMap(({ series }, xAxisIndex) => {
      const yAxisIndex = all.slice(0, xAxisIndex).reduce((sum, { yAxes }) => sum + yAxes.length, 0);
      return series.map((one) => ({ ...one, xAxisIndex, yAxisIndex }));
    }),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${plain(svg)}\n`;
}

/** Figures that stand alone in their panels are put into one, where they follow each other. */
function grouped(alone: readonly (readonly Figure[])[]): Figure[][] {
  const together: Figure[][] = [];
  for (const panel of alone) {
    const [figure] = panel;
    const before = together.at(-1);
    const follows = before?.[0]?.unit === figure?.unit && before?.[0]?.what !== before?.[1]?.what;
    if (before !== undefined && follows && panel.length === 1 && figure?.at === undefined) before.push(...panel);
    else together.push([...panel]);
  }
  return together;
}

function origin({ commit, date, machine, node }: Omit<BenchRecord, "reports">): string {
  return `commit ${commit}, ${date.slice(0, 10)}, ${machine.cores} × ${machine.cpu}, Node ${node.slice(1)}`;
}

/** What is of use to scripts is left out, which counts on through all charts of a process where it refers to other things. */
function plain(svg: string): string {
  const names = new Map<string, string>();
  return svg
    .replace(/ ecmeta_\w+="[^"]*"| class="[^"]*"/g, "")
    .replace(/<style[\s\S]*?<\/style>\n?/g, "")
    .replace(/\bzr\d+-[\w-]+/g, (name) => {
      if (!names.has(name)) names.set(name, `z${names.size}`);
      return names.get(name) ?? name;
    });
}
