import { StoreError } from "../../errors.ts";
import type { Call, Command } from "../command.ts";
import { absolutePath } from "../options.ts";
import { standardInput, withStore } from "../session.ts";
import { count, digestText, formatBytes, formatTime, shortDigest, visible } from "../text.ts";

/** What moves containers from one store to another. */
export const backupCommands: readonly Command[] = [
  {
    name: "backup",
    args: ["NAME", "FILE"],
    nameAt: 0,
    summary: "write all that a container is to one file: config, base, changes, snapshots",
    options: [{ flags: "-a, --allow-running", description: "one that runs is frozen while it is read" }],
    long: true,
    details: "FILE is a new file, or - for standard output. A running container is backed up as of its last capture.",
    run: backup,
  },
  {
    name: "restore",
    args: ["FILE", "[NAME]"],
    nameAt: 1,
    summary: "make the container that a backup is of, here, by its name or NAME",
    options: [
      {
        flags: "-P, --lxcpath <DIR>",
        description: "where its LXC directory goes (default: the setting lxc.path, else LXC's)",
      },
      { flags: "--no-lxc", description: "make no LXC directory" },
      { flags: "--config <FILE>", description: "an LXC config instead of the backup's" },
      { flags: "--set <KEY=VALUE>", description: "one key of the LXC config", repeat: true },
    ],
    long: true,
    details:
      "FILE is what backup wrote, or - for standard input. Its config may run programs on this host: know whose it is.",
    run: restore,
  },
];

async function backup(call: Call): Promise<number> {
  const [name = "", file = ""] = call.args;
  if (file === "-") call.output.takeStdout();
  if (file === "-" && process.stdout.isTTY)
    throw new StoreError("USAGE", {
      reason: "a backup cannot go to a terminal",
      hint: `delta0 backup ${name} ${name}.backup`,
    });
  const params = { name, file: absolutePath(file), allowRunning: call.options.flag("allowRunning") };
  const made = await withStore(call, (context, api) => api.backup(context, params));
  await call.output.confirm("backup", { ...made, digest: digestText(made.digest) }, () => {
    const holds = `${shortDigest(made.digest)}… and ${count(made.snapshots, "snapshot")}`;
    return [`${visible(name)}: ${holds}, ${formatBytes(made.bytes)} in ${formatBytes(made.fileBytes)}`];
  });
  return 0;
}

async function restore(call: Call): Promise<number> {
  const [file = "", name] = call.args;
  const { options } = call;
  const input = file === "-" ? standardInput(call) : undefined;
  const settings = options.list("set");
  const params = {
    file: absolutePath(file),
    ...(name !== undefined && { name }),
    ...options.pathAs("lxcPath", "lxcpath"),
    ...options.pathAs("config"),
    ...(settings.length > 0 && { settings }),
    noLxc: options.refused("lxc"),
  };
  const made = await withStore(call, (context, api) => api.restore({ ...context, ...(input && { input }) }, params), {
    create: true,
  });
  await call.output.confirm("restore", { ...made, digest: digestText(made.digest) }, () => [
    `${visible(made.name)}: ${shortDigest(made.digest)}… and ${count(made.snapshots.length, "snapshot")}, as of ${formatTime(made.created)}`,
  ]);
  return 0;
}
