import type { Command } from "./command.ts";

/** Some verbs, by their first words, and where they are. */
interface Part {
  readonly verbs: readonly string[];
  readonly load: () => Promise<readonly Command[]>;
}

/** In the order of the help. Each is loaded once it is needed: to load all takes longer than most commands. */
const PARTS: readonly Part[] = [
  {
    verbs: ["init", "info", "config", "doctor"],
    load: async () => (await import("./commands/store.ts")).storeCommands,
  },
  { verbs: ["import", "commit", "tag"], load: async () => (await import("./commands/layers.ts")).layerCommands },
  {
    verbs: ["create", "clone", "capture"],
    load: async () => (await import("./commands/containers.ts")).containerCommands,
  },
  {
    verbs: ["snapshot", "rollback", "reset"],
    load: async () => (await import("./commands/snapshots.ts")).snapshotCommands,
  },
  { verbs: ["backup", "restore"], load: async () => (await import("./commands/backup.ts")).backupCommands },
  {
    verbs: ["copy", "send", "receive"],
    load: async () => (await import("./commands/transfer.ts")).transferCommands,
  },
  { verbs: ["start", "stop", "exec", "run"], load: async () => (await import("./commands/run.ts")).runCommands },
  { verbs: ["ls", "show"], load: async () => (await import("./commands/look.ts")).lookCommands },
  {
    verbs: ["log", "tree", "blame", "whohas"],
    load: async () => (await import("./commands/lineage.ts")).lineageCommands,
  },
  { verbs: ["bisect"], load: async () => (await import("./commands/bisect.ts")).bisectCommands },
  { verbs: ["diff", "status"], load: async () => (await import("./commands/diff.ts")).diffCommands },
  { verbs: ["cat", "stat", "find", "get"], load: async () => (await import("./commands/files.ts")).fileCommands },
  {
    verbs: ["put", "mkdir", "mv", "ln", "unlink", "chmod", "chown"],
    load: async () => (await import("./commands/change.ts")).changeCommands,
  },
  { verbs: ["edit"], load: async () => (await import("./commands/edit.ts")).editCommands },
  { verbs: ["xattr"], load: async () => (await import("./commands/xattr.ts")).xattrCommands },
  { verbs: ["rename", "rm"], load: async () => (await import("./commands/names.ts")).nameCommands },
  { verbs: ["reflog", "undo"], load: async () => (await import("./commands/history.ts")).historyCommands },
  { verbs: ["squash", "rebase"], load: async () => (await import("./commands/rebase.ts")).rebaseCommands },
  { verbs: ["retain", "pin", "unpin"], load: async () => (await import("./commands/retain.ts")).retainCommands },
  {
    verbs: ["export", "exports", "unexport"],
    load: async () => (await import("./commands/exports.ts")).exportCommands,
  },
  { verbs: ["fsck"], load: async () => (await import("./commands/fsck.ts")).fsckCommands },
  { verbs: ["du", "gc", "why"], load: async () => (await import("./commands/space.ts")).spaceCommands },
  { verbs: ["lxc"], load: async () => (await import("./commands/lxc-setup.ts")).lxcSetupCommands },
  { verbs: ["lxc"], load: async () => (await import("./commands/lxc.ts")).lxcCommands },
  { verbs: ["lxc"], load: async () => (await import("./commands/adopt.ts")).adoptCommands },
  { verbs: ["completion"], load: async () => (await import("./commands/shell.ts")).shellCommands },
];

/** All verbs, in the order of the help. */
export async function allCommands(): Promise<Command[]> {
  return (await Promise.all(PARTS.map(({ load }) => load()))).flat();
}

/** The verbs that a command line may mean, and some more. */
export async function commandsIn(argv: readonly string[]): Promise<Command[]> {
  const parts = PARTS.filter(({ verbs }) => verbs.some((verb) => argv.includes(verb)));
  return (await Promise.all(parts.map(({ load }) => load()))).flat();
}
