import { copyFileSync, existsSync, readFileSync, statSync } from "node:fs";
import type { RefChange } from "../containers/records.ts";
import { layerDigest } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import { adoptedConfig } from "../lxc/adopted-config.ts";
import { oldSnapshotsDirectory, readAdoptable } from "../lxc/adoptable.ts";
import type { Adoptable, AdoptableSnapshot } from "../lxc/adoptable.ts";
import { cloneConfig } from "../lxc/clone-config.ts";
import { formatConfig, getValues } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { requireConvertible } from "../lxc/convertible.ts";
import { isWithin } from "../lxc/dependants.ts";
import { hooksFile } from "../lxc/hooks.ts";
import { idMapOf, withIdMap } from "../lxc/id-map-config.ts";
import { modernConfig } from "../lxc/legacy-config.ts";
import { runningContainers } from "../lxc/running.ts";
import type { Staging } from "../lxc/staging.ts";
import { ROOT_FILESYSTEM_ENTRIES } from "../lxc/supplant.ts";
import type { Digest } from "../model/digest.ts";
import { formatIdMap } from "../model/id-map.ts";
import type { Losses } from "../sinks/written.ts";
import type { Store } from "../store.ts";
import { refuseRunning } from "./container-state.ts";
import { requireRoom } from "./room.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { identityFor, isIdentityPending } from "./identity.ts";
import { lxcPathFor, requireFreeDirectory } from "./lxc-host.ts";
import { makeContainers } from "./make-containers.ts";
import { readContainer, Unchanged } from "./read-adoptable.ts";
import { requireFree, requireName } from "./references.ts";
import { snapshotRefName } from "./snapshots.ts";

export interface AdoptParams {
  /** The LXC container's. */
  readonly name: string;
  /** The LXC path that it is in; default as for new containers. */
  readonly lxcPath?: string;
  /** A new container of that name beside it. Default: the store takes it in by its own name, without an LXC directory. */
  readonly as?: string;
  /** LXCPATH/NAME itself becomes a container of the store; what it was made of is deleted. */
  readonly convert?: boolean;
  /** Everything is looked at, and nothing read or changed. */
  readonly dryRun?: boolean;
}

export interface Adopted {
  /** In the store. */
  readonly name: string;
  /** The LXC directory that it was, or is. */
  readonly directory: string;
  /** The topmost first; of a plain root filesystem that alone. */
  readonly lowers: readonly string[];
  readonly upper: string | null;
  readonly idMap: readonly string[] | null;
  readonly snapshots: readonly AdoptedSnapshot[];
  readonly converted: boolean;
  /** Null without an LXC directory of its own. */
  readonly lxcPath: string | null;
  /** What its LXC config becomes; null without one. */
  readonly config: string | null;
  /** Directories outside of the container's own that nothing in it names any more. */
  readonly left: readonly string[];
  /** Null for a dry run. */
  readonly digest: Digest | null;
  /** What of its ids the id map does not have. */
  readonly losses: Losses;
  readonly dryRun: boolean;
}

export interface AdoptedSnapshot {
  readonly snapshot: string;
  readonly created: string;
  readonly message: string;
  readonly digest: Digest | null;
}

/**
 * Takes in a container that LXC's own tools made, with its snapshots and their comments. Unless it is converted, it stays as it is.
 *
 * @throws {StoreError} REFUSED while it or what it stands on runs, or if a conversion would lose something; as `readAdoptable`;
 *   SOURCE_INVALID if it changes meanwhile. Nothing was changed then.
 */
export async function adopt(context: Context, params: AdoptParams): Promise<Adopted> {
  using _operation = context.store.begin();
  await requireRoom(context);
  const { store } = context;
  const { convert = false, dryRun = false } = params;
  const plan = planOf(context, params);
  const { container, name, lxcPath, configOf } = plan;
  if (convert) requireConvertible(container);
  refuseBusy(container);
  const unchanged = new Unchanged(store, container);
  const facts = { ...factsOf(plan, convert), dryRun };
  if (dryRun) return { ...facts, config: plannedConfig(plan), digest: null, losses: [] };

  const { origin, snapshots, layers, losses } = await readContainer(context, container, name);
  unchanged.require();
  const identity = convert ? "keep" : identityFor(store, undefined);
  const others = snapshots.map(({ snapshot, layer }): RefChange => ({
    name: snapshotRefName({ container: name, snapshot }),
    before: null,
    after: { type: "layer", layer: layerDigest(layer) },
  }));
  await makeContainers(context, {
    names: [name],
    origin,
    labels: {},
    traits: {
      idMap: idMapOf(container.config),
      identityPending: isIdentityPending(store, identity, lxcPath, origin.tree),
    },
    lxcPath,
    configOf,
    layers,
    others,
    replaces: convert,
    prepare: (staging) => {
      if (!convert) return copyOwnFiles(context, staging, plan);
      const { directory } = container;
      const old = staging.takeAwayForNew(name);
      // A start that slipped in shows by now, and so does one that is over.
      refuseBusy(container);
      unchanged.require((path) => (isWithin(path, directory) ? old + path.slice(directory.length) : path));
    },
  });
  const taken = facts.snapshots.map((each, i) => ({ ...each, digest: snapshots[i]?.layer.tree ?? null }));
  const config = lxcPath === null ? null : readFileSync(`${lxcPath}/${name}/config`, "utf8");
  return { ...facts, config, snapshots: taken, digest: origin.tree, losses };
}

interface Plan {
  readonly container: Adoptable;
  /** In the store. */
  readonly name: string;
  readonly lxcPath: string | null;
  readonly configOf: (name: string, rootfs: string) => ConfigFile;
  /** Files in the container's directory that its config names. */
  readonly ownFiles: readonly string[];
}

/** @throws {StoreError} for all that can be known before anything is read */
function planOf(context: Context, params: AdoptParams): Plan {
  const { store } = context;
  const { convert = false } = params;
  const name = params.as ?? params.name;
  if (convert && name !== params.name)
    throw new StoreError("USAGE", {
      reason: "a converted container keeps its name",
      hint: `convert it, then delta0 rename ${params.name} ${name}`,
    });
  const from = lxcPathFor(store, params.lxcPath === undefined ? {} : { lxcPath: params.lxcPath });
  if (from === null)
    throw new StoreError("USAGE", {
      reason: "no LXC path: LXC is not installed here",
      hint: "name one with --lxcpath",
    });
  const known = store.refs.find(params.name);
  const isOurs = known?.type === "container" && known.lxcPath === from;
  const container = readAdoptable(from, params.name);
  if (isOurs && store.exports.keyOf(container.rootfs.lowers[0] ?? "") !== undefined)
    throw new StoreError("USAGE", {
      reason: `"${params.name}" is a container of this store already`,
      hint: `for another like it: delta0 clone ${params.name} NEW`,
    });
  requireFree(store, name, "adopt it by another name: --as NEW");
  for (const { snapshot } of container.snapshots) requireFreeSnapshot(store, name, snapshot);
  const lxcPath = convert || params.as !== undefined ? from : null;
  if (lxcPath !== null && !convert) requireFreeDirectory(lxcPath, name);
  for (const file of getValues(modernConfig(container.config), "lxc.include"))
    if (lxcPath !== null && !existsSync(file))
      warn(context, `${name} will not start: its config takes in ${file}, which is not there`);
  return { container, name, lxcPath, ...configsFor(context, container, convert) };
}

function requireFreeSnapshot(store: Store, container: string, snapshot: string): void {
  requireName(snapshot);
  const name = snapshotRefName({ container, snapshot });
  if (store.refs.find(name) !== undefined)
    throw new StoreError("EXISTS", {
      what: `"${name}" exists`,
      hint: `delta0 rm ${name}, or adopt it by another name`,
    });
}

/** Beside its original it is another container, and its config a clone's. */
function configsFor(context: Context, container: Adoptable, convert: boolean): Pick<Plan, "configOf" | "ownFiles"> {
  const { store } = context;
  const { name: originalName, directory: originalDirectory, lxcPath } = container;
  const hooks = hooksFile(store.paths);
  if (convert) return { configOf: (_name, rootfs) => adoptedConfig(container.config, rootfs, hooks), ownFiles: [] };
  const identity = identityFor(store, undefined) === "keep" ? "keep" : "new";
  const cloned = (name: string, rootfs: string): ReturnType<typeof cloneConfig> => {
    const names = { originalName, originalDirectory, name, directory: `${lxcPath}/${name}` };
    return cloneConfig(modernConfig(container.config), { ...names, rootfs, identity });
  };
  const warned = new Set<string>();
  return {
    configOf: (name, rootfs) => {
      const { config, warnings } = cloned(name, rootfs);
      for (const warning of warnings) if (!warned.has(warning)) warn(context, `${name}: ${warning}`);
      for (const warning of warnings) warned.add(warning);
      return adoptedConfig(config, rootfs, hooks);
    },
    ownFiles: cloned(originalName, "none yet").ownFiles,
  };
}

function factsOf(plan: Plan, converted: boolean): Omit<Adopted, "config" | "digest" | "losses" | "dryRun"> {
  const { container, name, lxcPath } = plan;
  const { directory, rootfs, snapshots } = container;
  const idMap = idMapOf(container.config);
  const own = [...(rootfs.upper === undefined ? rootfs.lowers : []), rootfs.upper ?? []].flat();
  const gone = [directory, oldSnapshotsDirectory(container.lxcPath, container.name)];
  return {
    name,
    directory,
    lowers: rootfs.lowers,
    upper: rootfs.upper ?? null,
    idMap: idMap && formatIdMap(idMap),
    snapshots: snapshots.map(({ snapshot, created, message }: AdoptableSnapshot) => ({
      snapshot,
      created,
      message,
      digest: null,
    })),
    converted,
    lxcPath,
    left: converted ? own.filter((path) => !gone.some((at) => isWithin(path, at))) : [],
  };
}

/** Where the export will be, only what is read can tell. */
function plannedConfig({ container, name, lxcPath, configOf }: Plan): string | null {
  if (lxcPath === null) return null;
  const config = configOf(name, `overlay:EXPORT:${lxcPath}/${name}/delta0`);
  return formatConfig(withIdMap(config, idMapOf(container.config))).toString("utf8");
}

/** @throws {StoreError} REFUSED if it runs, or one of its snapshots, or a container in whose directory a lower of theirs is */
function refuseBusy({ name, lxcPath, directory, rootfs, snapshots }: Adoptable): void {
  const running = runningContainers();
  const { upper } = rootfs;
  if (running.isRunning({ name, lxcPath, upper })) refuseRunning(name, "running", lxcPath);
  for (const { snapshot, rootfs } of snapshots)
    if (running.isRunning({ name: snapshot, lxcPath: `${directory}/snaps`, upper: rootfs.upper }))
      refuseRunning(snapshot, "running", `${directory}/snaps`);
  const lowers = [rootfs, ...snapshots.map((snapshot) => snapshot.rootfs)].flatMap((each) => each.lowers);
  for (const lower of lowers.filter((path) => isWithin(path, lxcPath))) {
    const [owner = ""] = lower.slice(lxcPath.length + 1).split("/");
    if (running.isRunning({ name: owner, lxcPath })) refuseRunning(owner, "running", lxcPath);
  }
}

/** Such as an fstab and hooks: the config of the new container names them in its own directory. */
function copyOwnFiles(context: Context, staging: Staging, { container, name, ownFiles }: Plan): void {
  for (const path of ownFiles) {
    const [entry = "", ...more] = path.slice(container.directory.length + 1).split("/");
    if (ROOT_FILESYSTEM_ENTRIES.includes(entry) || !existsSync(path)) continue;
    if (more.length === 0 && statSync(path).isFile()) copyFileSync(path, `${staging.directory}/${name}/${entry}`);
    else
      warn(
        context,
        `${name}: its config names ${path.replace(container.directory, `LXCPATH/${name}`)}: copy that from ${path}`,
      );
  }
}
