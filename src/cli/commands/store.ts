import { resolve } from "node:path";
import { StoreError } from "../../errors.ts";
import type { StoreInfo } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { storeDirectory } from "../options.ts";
import { withStore } from "../session.ts";
import { count, formatBytes, table, visible } from "../text.ts";
import { showRef } from "./look.ts";

/** The store itself. */
export const storeCommands: readonly Command[] = [
  {
    name: "init",
    args: ["[DIR]"],
    summary: "make a store (import and create make one too)",
    run: async (call) => {
      const [given] = call.args;
      if (given !== undefined && call.options.text("store") !== undefined)
        throw new StoreError("USAGE", { reason: "the store is given twice", hint: "delta0 init DIR" });
      const directory = given === undefined ? storeDirectory(call.options) : resolve(given);
      const { formatVersion } = await withStore(call, (context, { info }) => info(context), {
        create: true,
        directory,
      });
      await call.output.confirm("init", { directory, formatVersion }, () => [
        `store at ${visible(directory)}, format ${formatVersion}`,
      ]);
      return 0;
    },
  },
  {
    name: "info",
    args: ["[REF]"],
    summary: "what the store holds and what it costs; with REF the same as show",
    run: async (call) => {
      const [ref] = call.args;
      if (ref !== undefined) return await showRef(call, ref);
      const info = await withStore(call, (context, api) => api.info(context));
      await call.output.show("info", info, () => describeInfo(info));
      return 0;
    },
  },
  {
    name: "config",
    args: ["[KEY]", "[VALUE]"],
    summary: 'tell the settings of the store, or change one ("" for its default)',
    run: config,
  },
  {
    name: "doctor",
    args: [],
    summary: "what this host can do for delta0, and what it lacks",
    details: "Opens no store. Exits 0 whatever it finds: much works where something is missing.",
    run: async (call) => {
      const { doctor } = await import("../../operations/doctor.ts");
      const checks = doctor(storeDirectory(call.options));
      await call.output.show("doctor", { checks }, () =>
        table(checks.map(({ name, result, detail }) => [result, name, visible(detail)])).map((line) =>
          line.startsWith("missing") ? call.output.paint(line, "yellow") : line,
        ),
      );
      return 0;
    },
  },
];

async function config(call: Call): Promise<number> {
  const [key, value] = call.args;
  const settings = await withStore(call, (context, { configure }) =>
    configure(context, { ...(key !== undefined && { key }), ...(value !== undefined && { value }) }),
  );
  if (value !== undefined) {
    await call.output.confirm("config", { settings }, () =>
      settings.map((setting) => `${setting.key} = ${visible(setting.value ?? "(its default)")}`),
    );
    return 0;
  }
  await call.output.show("config", { settings }, () =>
    key === undefined
      ? table(settings.map((setting) => [setting.key, visible(setting.value ?? "-"), setting.description]))
      : settings.flatMap((setting) => (setting.value === null ? [] : visible(setting.value))),
  );
  return 0;
}

function describeInfo(info: StoreInfo): string[] {
  const { chunks, nodes, storedBytes, nodeBytes, plainBytes, ratio } = info;
  return table([
    ["store", `${visible(info.directory)}, format ${info.formatVersion}`],
    [
      "holds",
      `${count(info.layers, "layer")}, ${count(info.containers, "container")}, ${count(info.snapshots, "snapshot")}`,
    ],
    ["logical", `${formatBytes(info.logicalBytes)}, each counted in full`],
    ["stored", `${formatBytes(storedBytes + nodeBytes)}${ratio === null ? "" : `, ratio ${ratio.toFixed(1)}`}`],
    ["chunks", `${chunks}: ${formatBytes(storedBytes)}, ${formatBytes(plainBytes)} before compression`],
    ["nodes", `${nodes}: ${formatBytes(nodeBytes)}`],
    ["exports", `${info.exports}, ${formatBytes(info.exportDiskBytes)}`],
  ]);
}
