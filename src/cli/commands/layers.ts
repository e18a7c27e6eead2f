import type { Call, Command } from "../command.ts";
import { absolutePath } from "../options.ts";
import type { Option, Options } from "../options.ts";
import { standardInput, withStore } from "../session.ts";
import { count, digestText, formatBytes, formatSeconds, shortDigest } from "../text.ts";

/** How a source is read: of import, and of create, which imports. */
export const SOURCE_OPTIONS: readonly Option[] = [
  { flags: "--exclude <GLOB>", description: "leave out; without a slash it fits names in any directory", repeat: true },
  { flags: "--one-file-system", description: "leave out what is mounted below the source" },
];

const MESSAGE_OPTION: Option = { flags: "-m, --message <TEXT>", description: "kept with the layer" };

/** What makes layers. */
export const layerCommands: readonly Command[] = [
  {
    name: "import",
    args: ["SRC", "NAME"],
    summary: "make layer NAME of a directory or a tar",
    options: [
      { flags: "--parent <REF>", description: "the layer that it is a later state of" },
      MESSAGE_OPTION,
      { flags: "--replace", description: "move NAME if it stands for another layer" },
      ...SOURCE_OPTIONS,
    ],
    long: true,
    details:
      "SRC is a directory, a tar (plain, gzip, xz or zstd), - for a tar on standard input, or an image, oci:DIR[:TAG] as skopeo writes them.",
    run: importSource,
  },
  {
    name: "commit",
    args: ["NAME", "LAYER"],
    nameAt: 0,
    summary: "make layer LAYER of a stopped container, which goes on above it",
    options: [MESSAGE_OPTION, { flags: "--replace", description: "move LAYER if it stands for another layer" }],
    long: true,
    run: commitContainer,
  },
  {
    name: "tag",
    args: ["REF", "NAME"],
    summary: "give a state one more name, that of a layer",
    options: [{ flags: "--replace", description: "move NAME if it stands for another layer" }],
    run: async (call) => {
      const [ref = "", name = ""] = call.args;
      const replace = call.options.flag("replace");
      const tagged = await withStore(call, (context, { tag }) => tag(context, { ref, name, replace }));
      await call.output.confirm("tag", { ...tagged, digest: digestText(tagged.digest) }, () => [
        `${name}: ${shortDigest(tagged.digest)}…`,
      ]);
      return 0;
    },
  },
];

async function importSource(call: Call): Promise<number> {
  const [source = "", name = ""] = call.args;
  const { options } = call;
  const input = source === "-" ? standardInput(call) : undefined;
  const params = {
    source: absolutePath(source),
    name,
    replace: options.flag("replace"),
    ...options.textAs("parent"),
    ...options.textAs("message"),
    ...sourceParams(options),
  };
  const began = performance.now();
  const imported = await withStore(
    call,
    (context, { importLayer }) => importLayer({ ...context, ...(input && { input }) }, params),
    { create: true },
  );
  const seconds = (performance.now() - began) / 1000;
  const { digest, entries, bytes, newBytes, newChunks } = imported;
  await call.output.confirm("import", { ...imported, digest: digestText(digest), seconds }, () => {
    const tree = `${shortDigest(digest)}… ${count(entries, "entry")}, ${formatBytes(bytes)}`;
    const news = `${formatBytes(newBytes)} new in ${count(newChunks, "chunk")}`;
    return [`${name}: ${tree}; ${news}, ${formatSeconds(seconds)}`];
  });
  return 0;
}

async function commitContainer(call: Call): Promise<number> {
  const [name = "", layer = ""] = call.args;
  const { options } = call;
  const committed = await withStore(call, (context, { commit }) =>
    commit(context, { name, layer, replace: options.flag("replace"), ...options.textAs("message") }),
  );
  const { digest, parentDigest, entries, bytes } = committed;
  const document = {
    ...committed,
    digest: digestText(digest),
    parentDigest: parentDigest === null ? null : digestText(parentDigest),
  };
  await call.output.confirm("commit", document, () => [
    `${layer}: ${shortDigest(digest)}… ${count(entries, "entry")}, ${formatBytes(bytes)}; ${name} goes on above it`,
  ]);
  return 0;
}

export function sourceParams(options: Options): { exclude: readonly string[]; oneFileSystem: boolean } {
  return { exclude: options.list("exclude"), oneFileSystem: options.flag("oneFileSystem") };
}
