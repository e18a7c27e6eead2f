import type { Command } from "./command.ts";
import { adoptCommands } from "./commands/adopt.ts";
import { backupCommands } from "./commands/backup.ts";
import { bisectCommands } from "./commands/bisect.ts";
import { changeCommands } from "./commands/change.ts";
import { containerCommands } from "./commands/containers.ts";
import { diffCommands } from "./commands/diff.ts";
import { exportCommands } from "./commands/exports.ts";
import { fileCommands } from "./commands/files.ts";
import { historyCommands } from "./commands/history.ts";
import { layerCommands } from "./commands/layers.ts";
import { lineageCommands } from "./commands/lineage.ts";
import { lookCommands } from "./commands/look.ts";
import { lxcCommands } from "./commands/lxc.ts";
import { lxcSetupCommands } from "./commands/lxc-setup.ts";
import { nameCommands } from "./commands/names.ts";
import { rebaseCommands } from "./commands/rebase.ts";
import { retainCommands } from "./commands/retain.ts";
import { runCommands } from "./commands/run.ts";
import { shellCommands } from "./commands/shell.ts";
import { snapshotCommands } from "./commands/snapshots.ts";
import { spaceCommands } from "./commands/space.ts";
import { storeCommands } from "./commands/store.ts";
import { xattrCommands } from "./commands/xattr.ts";

/** All verbs, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  ...storeCommands,
  ...layerCommands,
  ...containerCommands,
  ...snapshotCommands,
  ...backupCommands,
  ...runCommands,
  ...lookCommands,
  ...lineageCommands,
  ...bisectCommands,
  ...diffCommands,
  ...fileCommands,
  ...changeCommands,
  ...xattrCommands,
  ...nameCommands,
  ...historyCommands,
  ...rebaseCommands,
  ...retainCommands,
  ...exportCommands,
  ...spaceCommands,
  ...lxcSetupCommands,
  ...lxcCommands,
  ...adoptCommands,
  ...shellCommands,
];
