import { StoreError } from "../../errors.ts";
import type { ListItem, ListParams, Shown } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { withStore } from "../session.ts";
import { count, digestText, formatAge, formatBytes, formatTime, shortDigest, table, visible } from "../text.ts";

/** What tells about layers and containers. */
export const lookCommands: readonly Command[] = [
  {
    name: "ls",
    args: ["[PATTERN]"],
    summary: "list containers, then layers",
    options: [
      { flags: "-l, --long", description: "files and size too" },
      { flags: "-1, --names", description: "names alone" },
      { flags: "--layers", description: "layers alone" },
      { flags: "--containers", description: "containers alone" },
      { flags: "--running", description: "running containers" },
      { flags: "--stopped", description: "containers that do not run" },
      { flags: "--foreign", description: "LXC containers on our exports that the store does not know" },
      { flags: "--label <K[=V]>", description: "those with this label", repeat: true },
      { flags: "--sort <KEY>", description: "by what", choices: ["name", "created", "size"] },
    ],
    details: "PATTERN is a glob. stopped* is a stopped container whose changes could not be captured.",
    run: ls,
  },
  {
    name: "show",
    args: ["REF"],
    nameAt: 0,
    summary: "everything about a layer, a container or a tree",
    run: (call) => showRef(call, call.args[0] ?? ""),
  },
];

async function ls(call: Call): Promise<number> {
  const { options, output } = call;
  const [pattern] = call.args;
  const only = onlyOf(call);
  const isDocument = options.flag("json") || options.flag("ndjson");
  const params = {
    ...(pattern !== undefined && { pattern }),
    ...(only && { only }),
    labels: options.list("label"),
    withoutSizes: !isDocument && !options.flag("long") && options.text("sort") !== "size",
  };
  const items = await withStore(call, (context, { list }) => list(context, params));
  sortItems(items, options.text("sort"));
  const document = isDocument ? { items: items.map(documentOf) } : {};
  await output.show("ls", document, () => {
    if (options.flag("names")) return items.map(({ name }) => visible(name));
    return items.length === 0 ? [] : listTable(call, items);
  });
  return 0;
}

function documentOf(item: ListItem): object {
  const { parent, digest } = item;
  return {
    ...item,
    parent: parent !== null && isDigest(parent) ? digestText(parent) : parent,
    digest: digest === null ? null : digestText(digest),
  };
}

const FILTERS = ["layers", "containers", "running", "stopped", "foreign"] as const;

function onlyOf({ options }: Call): ListParams["only"] {
  const wanted = FILTERS.filter((filter) => options.flag(filter));
  // Running and stopped ones are containers: that may be said beside.
  const isNarrower = wanted.includes("running") || wanted.includes("stopped");
  const [first, second] = isNarrower ? wanted.filter((filter) => filter !== "containers") : wanted;
  if (second === undefined) return first;
  throw new StoreError("USAGE", { reason: `--${wanted.join(" and --")} leave nothing to list` });
}

/** Containers stay before layers. */
function sortItems(items: ListItem[], key: string | undefined): void {
  if (key === undefined) return;
  const rank = ({ type }: ListItem): number => (type === "layer" ? 1 : 0);
  items.sort((a, b) => {
    if (rank(a) !== rank(b)) return rank(a) - rank(b);
    if (key === "size") return (b.sizeBytes ?? 0) - (a.sizeBytes ?? 0);
    if (key === "created") return compare(b.created ?? "", a.created ?? "");
    return compare(a.name, b.name);
  });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function listTable({ options, output }: Call, items: readonly ListItem[]): string[] {
  const long = options.flag("long");
  const expire = long || items.some(({ expires }) => expires !== null);
  // Ten thousand clones that one command made have one time.
  const times = new Map<string, string>();
  const timeOf = (time: string | null): string => {
    if (time === null) return "-";
    const text = times.get(time) ?? formatTime(time);
    times.set(time, text);
    return text;
  };
  const header = ["NAME", "STATE", "BASE", "SNAPS"];
  if (long) header.push("FILES", "SIZE");
  if (expire) header.push("EXPIRES");
  header.push("CREATED");
  const rows = items.map(({ name, type, state, parent, snapshots, files, sizeBytes, expires, created }) => {
    const row = [
      visible(name),
      state === "not captured" ? "stopped*" : state,
      parent === null ? "-" : isDigest(parent) ? `${shortDigest(parent)}…` : parent,
      type === "container" ? String(snapshots.length) : "-",
    ];
    if (long) row.push(String(files ?? "-"), sizeBytes === null ? "-" : formatBytes(sizeBytes));
    if (expire) row.push(timeOf(expires));
    row.push(timeOf(created));
    return row;
  });
  return table([header, ...rows], long ? [3, 4, 5] : [3]).map((line, i) => {
    const state = i === 0 ? undefined : items[i - 1]?.state;
    if (state === "running") return output.paint(line, "green");
    return state === "not captured" || state === "missing" ? output.paint(line, "yellow") : line;
  });
}

/** `show`, also for `info REF`. */
export async function showRef(call: Call, ref: string): Promise<number> {
  const shown = await withStore(call, (context, { show }) => show(context, { ref }));
  const { layer, container } = shown;
  const document = {
    ...shown,
    digest: digestText(shown.digest),
    layer: layer && {
      ...layer,
      parentDigest: layer.parentDigest === null ? null : digestText(layer.parentDigest),
    },
    container: container && {
      ...container,
      lower: digestText(container.lower),
      snapshots: container.snapshots.map((item) => ({ ...item, digest: digestText(item.digest) })),
    },
  };
  await call.output.show("show", document, () => describeShown(shown));
  return 0;
}

function describeShown({ ref, type, digest, files, sizeBytes, layer, container }: Shown): string[] {
  const rows = [
    [type, visible(ref)],
    ["digest", digestText(digest)],
    ["holds", `${count(files, "entry")}, ${formatBytes(sizeBytes)}`],
  ];
  if (container) {
    const { state, captured, labels, lxcDirectory, identityPending, ephemeral, expires, snapshots, exports } =
      container;
    const asOf = captured === null ? "" : `, as of the last capture, ${formatTime(captured)}`;
    rows.push(
      ["state", state === "running" && captured === null ? "running, never captured" : `${state}${asOf}`],
      ["created", time(container.created)],
      ["stands on", digestText(container.lower)],
    );
    if (lxcDirectory !== null) rows.push(["LXC", visible(lxcDirectory)]);
    for (const { path, diskBytes } of exports)
      rows.push(["export", `${visible(path)}, ${diskBytes === null ? "not made yet" : formatBytes(diskBytes)}`]);
    if (identityPending) rows.push(["identity", "a new one at its next start"]);
    if (ephemeral) rows.push(["ephemeral", "gone once it has run and stopped"]);
    if (expires !== null) rows.push(["expires", formatTime(expires)]);
    for (const item of snapshots)
      rows.push(["snapshot", visible(`${item.snapshot}, ${time(item.created)} ${item.message}`.trimEnd())]);
    for (const [key, value] of Object.entries(labels)) rows.push(["label", visible(`${key}=${value}`)]);
  }
  if (layer) {
    const of = container ? "base " : "";
    rows.push([`${of}source`, visible(layer.source)], [`${of}made`, time(layer.created)]);
    if (layer.message !== "") rows.push([`${of}message`, visible(layer.message)]);
    if (layer.parentDigest !== null) rows.push([`${of}parent`, digestText(layer.parentDigest)]);
  }
  return table(rows);
}

function time(iso: string): string {
  return `${formatTime(iso)} (${formatAge(iso)})`;
}

function isDigest(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
