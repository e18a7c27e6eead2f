import { basename, dirname } from "node:path";
import type { Ref, RefChange } from "../containers/records.ts";
import { runningContainers } from "../lxc/running.ts";
import { Staging } from "../lxc/staging.ts";
import { refuseRunning } from "./container-state.ts";
import type { Context } from "./context.ts";
import { exportsNamedIn } from "./foreign.ts";
import { keepFiles } from "./kept-files.ts";
import { snapshotRefName, snapshotsOf } from "./snapshots.ts";

/**
 * Takes names out of the store, containers' snapshots with them, and LXC directories out of their places: all or none.
 *
 * @param directories those of stopped containers among them
 * @param notes of what becomes of the containers
 * @returns all names that are gone
 * @throws {StoreError} REFUSED if one was started meanwhile
 */
export async function takeAway(
  context: Context,
  refs: ReadonlyMap<string, Ref>,
  directories: readonly string[],
  notes: Pick<RefChange, "byItself"> = {},
): Promise<readonly string[]> {
  const { store } = context;
  const changes = new Map<string, RefChange>();
  const files = new Map(directories.map((directory) => [basename(directory), keepFiles(directory)]));
  for (const [name, before] of refs) {
    changes.set(name, { name, before, after: null, files: files.get(name) ?? [], ...notes });
    if (before.type === "layer") continue;
    for (const [snapshot, ref] of await snapshotsOf(store, name)) {
      const full = snapshotRefName({ container: name, snapshot });
      changes.set(full, { name: full, before: ref, after: null });
    }
  }
  const stagings = new Map<string, Staging>();
  try {
    for (const directory of directories) {
      const lxcPath = dirname(directory);
      let staging = stagings.get(lxcPath);
      if (staging === undefined)
        stagings.set(lxcPath, (staging = Staging.begin(store.paths.staging, lxcPath, store.refs)));
      store.exports.touch(exportsNamedIn(store, `${directory}/config`));
      staging.takeAway(basename(directory));
      refuseStarted(directory);
    }
    for (const staging of stagings.values()) staging.sync();
    await store.change(context, [...changes.values()]);
    return [...changes.keys()];
  } finally {
    for (const staging of stagings.values()) staging[Symbol.dispose]();
  }
}

/** The changes that give a container's snapshots their names after it has another itself. */
export async function renamedSnapshots(context: Context, from: string, to: string): Promise<RefChange[]> {
  const snapshots = await snapshotsOf(context.store, from);
  return snapshots.flatMap(([snapshot, ref]) => [
    { name: snapshotRefName({ container: from, snapshot }), before: ref, after: null },
    {
      name: snapshotRefName({ container: to, snapshot }),
      before: null,
      after: ref,
      from: snapshotRefName({ container: from, snapshot }),
    },
  ]);
}

/** A start that slipped in between the look and the move: whoever disposes of the staging puts the directory back. */
export function refuseStarted(directory: string): void {
  const place = { name: basename(directory), lxcPath: dirname(directory) };
  if (runningContainers().isRunning(place)) refuseRunning(place.name, "running", place.lxcPath);
}
