import { StoreError } from "../../errors.ts";
import type { FindParams, StatItem } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { showLosses } from "../losses.ts";
import { absolutePath } from "../options.ts";
import { withStore } from "../session.ts";
import { count, digestText, formatBytes, table, visible, visibleName } from "../text.ts";

/** As find(1) calls them. */
const TYPES: Readonly<Record<string, NonNullable<FindParams["type"]>>> = {
  f: "file",
  d: "directory",
  l: "symlink",
  c: "character",
  b: "block",
  p: "fifo",
  s: "socket",
};

/** What looks at the files in layers and containers. */
export const fileCommands: readonly Command[] = [
  {
    name: "cat",
    args: ["REF:/PATH…"],
    summary: "the bytes of files",
    run: async (call) => {
      call.output.takeStdout();
      const read = await withStore(call, (context, api) => api.cat(context, { files: call.args }));
      await call.output.show("cat", read, () => []);
      return 0;
    },
  },
  {
    name: "stat",
    args: ["REF:/PATH…"],
    summary: "type, owner, times, attributes of files",
    options: [{ flags: "-L, --dereference", description: "where a symlink leads to, not the symlink" }],
    run: stat,
  },
  {
    name: "find",
    args: ["REF[:/PATH]"],
    summary: "the paths in a ref, or below one of them",
    options: [
      { flags: "--name <GLOB>", description: "whose last name fits" },
      { flags: "--type <TYPE>", description: "files of this type", choices: Object.keys(TYPES) },
    ],
    run: find,
  },
  {
    name: "get",
    args: ["REF:/PATH…", "DIR"],
    summary: "copy files and directories out, with owners, times, attributes and links",
    options: [
      { flags: "--as-user", description: "leave out what this user may not make: owners, devices, privileged xattrs" },
    ],
    long: true,
    details:
      "DIR is there, and has none of the names. Exits 3 if something could not be kept: what and where is listed.",
    run: get,
  },
];

async function stat(call: Call): Promise<number> {
  const params = { paths: call.args, follow: call.options.flag("dereference") };
  const items = await withStore(call, (context, api) => api.stat(context, params));
  const documents = items.map((item) => (item.content ? { ...item, content: digestText(item.content) } : item));
  await call.output.show("stat", { items: documents }, () =>
    items.flatMap((item, i) => (i === 0 ? describeStat(item) : ["", ...describeStat(item)])),
  );
  return 0;
}

function describeStat(item: StatItem): string[] {
  const { ref, path, pathBase64, type, mode, uid, gid, mtime, sizeBytes, target, targetBase64, device } = item;
  const rows = [
    [type, `${visible(ref)}:${visibleName(path, pathBase64)}`],
    ["mode", mode],
    ["owner", `${uid}:${gid}`],
    ["modified", mtime],
  ];
  if (sizeBytes !== undefined) rows.push(["size", sizeBytes < 1024 ? formatBytes(sizeBytes) : exactSize(sizeBytes)]);
  if (target !== undefined) rows.push(["leads to", visibleName(target, targetBase64)]);
  if (device !== undefined) rows.push(["device", device]);
  rows.push(["inode", item.nlink > 1 ? `${item.ino}, ${item.nlink} names` : String(item.ino)]);
  if (item.content) rows.push(["content", digestText(item.content)]);
  for (const name of Object.keys(item.xattrs ?? {})) rows.push(["attribute", visible(name)]);
  return table(rows);
}

function exactSize(sizeBytes: number): string {
  return `${formatBytes(sizeBytes)} (${sizeBytes} B)`;
}

async function find(call: Call): Promise<number> {
  const [start = ""] = call.args;
  const type = TYPES[call.options.text("type") ?? ""];
  const params = { start, ...call.options.textAs("name"), ...(type && { type }) };
  const items = await withStore(call, (context, api) => api.find(context, params));
  await call.output.show("find", { items }, function* () {
    for (const { path, pathBase64 } of items) yield visibleName(path, pathBase64);
  });
  return 0;
}

async function get(call: Call): Promise<number> {
  const paths = call.args.slice(0, -1);
  const target = absolutePath(call.args.at(-1) ?? "");
  if (paths.length === 0) throw new StoreError("USAGE", { reason: "get takes REF:/PATH and a directory to put it" });
  const params = { paths, target, asUser: call.options.flag("asUser") };
  const got = await withStore(call, (context, api) => api.get(context, params));
  await call.output.confirm("get", got, () => [
    `${visible(target)}: ${count(got.entries, "entry")}, ${formatBytes(got.bytes)}`,
  ]);
  return showLosses(call, got.losses, got.omitted);
}
