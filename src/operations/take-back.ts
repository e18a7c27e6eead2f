import { chmodSync, writeFileSync } from "node:fs";
import type { ContainerRef, KeptFile, RefChange } from "../containers/records.ts";
import { formatConfig, getValue, readConfig, setValue, writeConfig } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { renamedConfig } from "../lxc/clone-config.ts";
import { makeContainerDirectory } from "../lxc/container-directory.ts";
import { parseRootfsPath } from "../lxc/rootfs-path.ts";
import { Staging } from "../lxc/staging.ts";
import { rootOf } from "../model/id-map.ts";
import { announceChange, changeContainer } from "./change-container.ts";
import type { ContainerState } from "./container-state.ts";
import type { Context } from "./context.ts";
import { keepFiles, keptConfig } from "./kept-files.ts";
import type { Lineage, Named } from "./lineages.ts";
import { directoryOf } from "./lxc-host.ts";
import { refuseStarted } from "./take-away.ts";

/** A container with where it is, and where it is to be. */
interface Place {
  readonly name: string;
  readonly ref: ContainerRef;
}

/** A directory that is about to be removed, to move, or to be made. */
interface Move {
  readonly now: Place | null;
  readonly then: Place | null;
  readonly lxcPath: string;
  /** As the history has them. */
  readonly files: readonly KeptFile[];
  /** As they are. */
  readonly filesNow: readonly KeptFile[];
}

/**
 * Makes lineages what they were: one change of the store. What a container holds follows as with any change of it; directories go, come and
 * move through stagings.
 *
 * @param states of what each is now, settled, and not running
 * @throws {StoreError} REFUSED if something was started or changed meanwhile: nothing was changed then
 */
export async function takeBack(context: Context, states: ReadonlyMap<Lineage, ContainerState>): Promise<void> {
  const { store } = context;
  const lineages = [...states.keys()];
  const inPlace = lineages.filter(({ now, then }) => isContainer(now) && isContainer(then) && now.name === then.name);
  const others = lineages.filter((lineage) => !inPlace.includes(lineage));
  const rows = new Map<string, RefChange>();
  const moves: Move[] = [];
  for (const lineage of others) {
    const { now, then } = lineage;
    const directory =
      isContainer(now) && states.get(lineage) === "stopped" ? directoryOf(now.name, now.ref) : undefined;
    const filesNow = directory === undefined ? [] : keepFiles(directory);
    if (now !== null) addRow(rows, now.name, { before: now.ref, files: filesNow });
    const restored = then === null ? null : { ...then, ref: restoredRef(then, now, lineages) };
    if (restored !== null)
      addRow(rows, restored.name, {
        after: restored.ref,
        ...(now !== null && now.name !== restored.name && { from: now.name }),
      });
    const isMade = now === null && lineage.files.length > 0;
    const lxcPath = lxcPathOf(now) ?? lxcPathOf(then);
    if (lxcPath === null || (directory === undefined && !isMade)) continue;
    moves.push({
      now: isContainer(now) ? now : null,
      then: isContainer(restored) ? restored : null,
      lxcPath,
      files: lineage.files,
      filesNow,
    });
  }
  const record = async (changes: readonly RefChange[]): Promise<void> => {
    await throughStagings(context, moves, async () => {
      await store.change(context, [...rows.values(), ...changes]);
    });
  };
  const withAll = inPlace.reduceRight(
    (inner, lineage) => async (changes) => {
      const { now, then } = lineage;
      if (!isContainer(now) || !isContainer(then)) return await inner(changes);
      await changeContainer(context, {
        name: now.name,
        before: { ref: now.ref, state: states.get(lineage) ?? "stored" },
        after: then.ref,
        isReadyFirst: true,
        record: (own) => inner([...changes, ...own]),
      });
    },
    record,
  );
  await withAll([]);
}

function isContainer(named: Named | Place | null): named is Place {
  return named?.ref.type === "container";
}

function lxcPathOf(named: Named | null): string | null {
  return isContainer(named) ? named.ref.lxcPath : null;
}

function addRow(rows: Map<string, RefChange>, name: string, side: Partial<RefChange>): void {
  rows.set(name, { name, before: null, after: null, ...rows.get(name), ...side });
}

/** Above all generations that the container, and whatever has its name until now, have come to. */
function restoredRef({ name, ref }: Named, now: Named | null, lineages: readonly Lineage[]): Named["ref"] {
  if (ref.type === "layer") return ref;
  const rival = lineages.find((lineage) => lineage.now?.name === name)?.now ?? null;
  const generations = [{ name, ref }, now, rival].map((named) => (isContainer(named) ? named.ref.generation : 0));
  return { ...ref, generation: Math.max(...generations) + 1 };
}

async function throughStagings(context: Context, moves: readonly Move[], record: () => Promise<void>): Promise<void> {
  const { store } = context;
  const stagings = new Map<string, Staging>();
  try {
    for (const { lxcPath } of moves)
      if (!stagings.has(lxcPath)) stagings.set(lxcPath, Staging.begin(store.paths.staging, lxcPath, store.refs));
    // What leaves goes before what comes.
    for (const move of moves) if (move.then !== null) supersede(context, stagings.get(move.lxcPath), move.then);
    for (const move of moves) leave(stagings.get(move.lxcPath), move);
    for (const move of moves) if (move.now === null) makeAgain(stagings.get(move.lxcPath), move);
    for (const staging of stagings.values()) staging.sync();
    await record();
    for (const { then, lxcPath } of moves) if (then !== null) stagings.get(lxcPath)?.publish(then.name);
    for (const move of moves) restoreConfig(move);
  } finally {
    for (const staging of stagings.values()) staging[Symbol.dispose]();
  }
}

/** A staging goes by names, of which the store has this one already. */
function supersede({ store }: Context, staging: Staging | undefined, { name, ref }: Place): void {
  if (ref.lxcPath !== null && store.refs.has(name, ref.lxcPath)) staging?.supersede(name, ref.generation);
}

function leave(staging: Staging | undefined, { now, then, lxcPath }: Move): void {
  if (now === null) return;
  const directory = `${lxcPath}/${now.name}`;
  if (then === null) staging?.takeAway(now.name);
  else {
    // Its next start makes the upper as the record has it then.
    if (now.ref.tree !== then.ref.tree || now.ref.lower !== then.ref.lower)
      announceChange(now.name, now.ref, directory, lxcPath);
    staging?.takeAwayAs(now.name, then.name);
  }
  refuseStarted(directory);
}

function makeAgain(staging: Staging | undefined, { then, files }: Move): void {
  const config = keptConfig(files);
  if (staging === undefined || then === null || config === undefined) return;
  const { idMap, generation } = then.ref;
  makeContainerDirectory(staging.directory, {
    name: then.name,
    config,
    exportPath: lowerOf(config),
    delta: { pending: generation },
    mappedGid: idMap === null ? undefined : rootOf(idMap).gid,
  });
  for (const { name, mode, bytes } of files) {
    const path = Buffer.concat([Buffer.from(`${staging.directory}/${then.name}/`), Buffer.from(name, "latin1")]);
    writeFileSync(path, bytes, { mode: 0o600 });
    chmodSync(path, mode);
  }
}

function lowerOf(config: ConfigFile): string {
  const rootfs = parseRootfsPath(getValue(config, ROOTFS) ?? "");
  return (rootfs.type === "overlay" ? rootfs.lowers[0] : undefined) ?? "";
}

const ROOTFS = "lxc.rootfs.path";

/**
 * Renaming there and back may leave another config than there was: of a host name, say, that was the new name from the first. So it becomes
 * what it was, byte for byte, unless somebody has edited it since.
 */
function restoreConfig({ now, then, lxcPath, files, filesNow }: Move): void {
  const [was, renamed] = [keptConfig(files), keptConfig(filesNow)];
  if (now === null || then === null || was === undefined || renamed === undefined) return;
  const expected = renamedConfig(was, {
    originalName: then.name,
    originalDirectory: `${lxcPath}/${then.name}`,
    name: now.name,
    directory: `${lxcPath}/${now.name}`,
  });
  if (!formatConfig(withRootfsOf(expected, renamed)).equals(formatConfig(renamed))) return;
  const path = `${lxcPath}/${then.name}/config`;
  writeConfig(path, withRootfsOf(was, readConfig(path)));
}

function withRootfsOf(config: ConfigFile, other: ConfigFile): ConfigFile {
  const value = getValue(other, ROOTFS);
  return value === undefined ? config : setValue(config, ROOTFS, value);
}
