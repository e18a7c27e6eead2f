import type { BlameItem, Holder, LineageNode, LogItem } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { withStore } from "../session.ts";
import { count, digestText, formatBytes, formatTime, shortDigest, table, visible, visibleName } from "../text.ts";

/** What tells where things come from. */
export const lineageCommands: readonly Command[] = [
  {
    name: "log",
    args: ["REF"],
    nameAt: 0,
    summary: "a state and all that it stands on, the newest first",
    options: [{ flags: "--limit <N>", description: "the newest N alone" }],
    details: "What was done to a name is told by reflog.",
    run: log,
  },
  {
    name: "tree",
    args: ["[REF]"],
    nameAt: 0,
    summary: "which layers and containers stand on which",
    details: "With REF that alone, with what it stands on and what stands on it.",
    run: tree,
  },
  {
    name: "blame",
    args: ["REF:/PATH"],
    summary: "which layers brought, changed and removed a file",
    run: blame,
  },
  {
    name: "whohas",
    args: ["WHAT"],
    summary: "which names hold a path, the same bytes, or a digest",
    details: "WHAT is /PATH; REF:/PATH, for its bytes wherever they are; or the first 8 digits of a digest, or more.",
    run: whohas,
  },
];

async function log(call: Call): Promise<number> {
  const [ref = ""] = call.args;
  const limit = call.options.number("limit", 0);
  const items = await withStore(call, (context, api) =>
    api.log(context, { ref, ...(limit !== undefined && { limit }) }),
  );
  await call.output.show("log", { ref, items: items.map(withDigest) }, () => {
    const rows = items.map((item) => [
      nameOf(item),
      item.time === null ? "-" : formatTime(item.time),
      formatBytes(item.sizeBytes),
      signed(item.moreBytes, formatBytes),
      signed(item.moreFiles, String),
      visible(item.message === "" ? item.source : item.message),
    ]);
    return rows.length === 0 ? [] : table([["STATE", "TIME", "SIZE", "BYTES", "FILES", "MESSAGE"], ...rows], [2, 3, 4]);
  });
  return 0;
}

function signed(number: number, format: (number: number) => string): string {
  return `${number < 0 ? "-" : "+"}${format(Math.abs(number))}`;
}

async function tree(call: Call): Promise<number> {
  const [ref] = call.args;
  const roots = await withStore(call, (context, api) => api.lineageTree(context, ref === undefined ? {} : { ref }));
  const flat = [...preorder(roots)];
  const items = flat.map(({ node: { children: _children, ...node }, parent, depth }) => ({
    ...withDigest(node),
    depth,
    parentDigest: parent === null ? null : digestText(parent.digest),
  }));
  await call.output.show("tree", { items }, () => {
    const rows = flat.map(({ node, lines }) => [
      `${lines}${nameOf(node)}`,
      node.type,
      count(node.files, "entry"),
      formatBytes(node.sizeBytes),
      formatTime(node.created),
    ]);
    return table(rows, [2, 3]);
  });
  return 0;
}

interface Drawn {
  readonly node: LineageNode;
  readonly parent: LineageNode | null;
  readonly depth: number;
  readonly lines: string;
}

/** A node with one child alone does not move it to the right: chains of layers are long. */
function* preorder(roots: readonly LineageNode[]): Generator<Drawn> {
  interface Pending extends Drawn {
    readonly below: string;
  }
  const pending: Pending[] = roots.map((node) => ({ node, parent: null, depth: 0, lines: "", below: "" })).reverse();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    yield next;
    const { node, depth, below } = next;
    const { children } = node;
    const isFork = children.length > 1;
    const drawn = children.map((child, i): Pending => {
      const isLast = i === children.length - 1;
      const rest = isFork && !isLast ? "│ " : isFork ? "  " : "";
      return {
        node: child,
        parent: node,
        depth: depth + 1,
        lines: `${below}${isLast ? "└ " : "├ "}`,
        below: below + rest,
      };
    });
    pending.push(...drawn.reverse());
  }
}

async function blame(call: Call): Promise<number> {
  const [file = ""] = call.args;
  const found = await withStore(call, (context, api) => api.blame(context, { file }));
  await call.output.show("blame", { ...found, items: found.items.map(withDigest) }, () => {
    const rows = found.items.map((item) => [
      nameOf(item),
      item.time === null ? "-" : formatTime(item.time),
      kindOf(item),
      visible(item.message === "" ? item.source : item.message),
    ]);
    return rows.length === 0 ? [] : table([["STATE", "TIME", "CHANGE", "MESSAGE"], ...rows]);
  });
  return 0;
}

function kindOf({ kind, differs }: BlameItem): string {
  return differs.length > 0 ? `${kind} (${differs.join(", ")})` : kind;
}

async function whohas(call: Call): Promise<number> {
  const [what = ""] = call.args;
  const items = await withStore(call, (context, api) => api.whohas(context, { what }));
  await call.output.show("whohas", { what, items: items.map(holderDocument) }, () =>
    table(
      items.map(({ name, type, path, pathBase64, node }) => [
        visible(name),
        type,
        path === null ? "all of it" : visibleName(path, pathBase64),
        node.sizeBytes === undefined ? node.type : formatBytes(node.sizeBytes),
        node.content ? shortDigest(node.content) : "",
      ]),
    ),
  );
  return 0;
}

function holderDocument(holder: Holder): object {
  const { node } = holder;
  return { ...withDigest(holder), node: node.content ? { ...node, content: digestText(node.content) } : node };
}

function withDigest<T extends { readonly digest: string }>(item: T): T {
  return { ...item, digest: digestText(item.digest) };
}

function nameOf({ names, digest }: Pick<LogItem, "names" | "digest">): string {
  return names.length > 0 ? visible(names.join(", ")) : `${shortDigest(digest)}…`;
}
