import type { ContainerRef } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { cloneConfig } from "../lxc/clone-config.ts";
import { parseSetting } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import { withSettings } from "../lxc/template.ts";
import type { Losses } from "../sinks/written.ts";
import type { Store } from "../store.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { idMapFor } from "./id-maps.ts";
import { identityFor, isIdentityPending } from "./identity.ts";
import type { GivenIdentity } from "./identity.ts";
import { directoryOf, lxcPathFor, newConfig } from "./lxc-host.ts";
import type { LxcParams } from "./lxc-host.ts";
import { makeContainers } from "./make-containers.ts";
import type { Origin } from "./make-containers.ts";
import { resolveRef } from "./references.ts";
import type { Resolved } from "./references.ts";
import { settlePast } from "./settle.ts";
import { keptConfig } from "./kept-files.ts";
import { settleToCopy } from "./capture-running.ts";
import { makeCopies } from "./copy-clones.ts";
import { expiryOf, sweepAllEphemeral, sweepNames } from "./ephemeral.ts";
import { standsOn } from "./standing.ts";
import { requireWhole } from "./whole-tree.ts";
import { parseSnapshotName, snapshotOrigin, snapshotOwner } from "./snapshots.ts";

export interface CloneParams extends LxcParams {
  readonly ref: string;
  readonly names: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** They vanish once they have run and stopped. */
  readonly ephemeral?: boolean;
  /** From when on they may be removed as expired, RFC 3339. */
  readonly expires?: string;
  /** Default: the store's setting, else new. Without an LXC directory it is kept. */
  readonly identity?: GivenIdentity;
  /** Containers of LXC alone, each with its filesystem in a directory of its own. The store has no record of them. */
  readonly copy?: boolean;
  /** An original that runs is frozen for as long as it is read. */
  readonly allowRunning?: boolean;
}

export interface Cloned {
  readonly ref: string;
  readonly names: readonly string[];
  readonly digest: Digest;
  readonly lxcPath: string | null;
  /** What each copy lacks, since its filesystem could not keep it. */
  readonly losses: Losses;
}

/**
 * Makes containers that begin as `ref` is now, and never depend on it. Each costs one record, whatever the depth, unless it is
 * to be a copy.
 */
export async function clone(context: Context, params: CloneParams): Promise<Cloned> {
  using _operation = context.store.begin();
  const { store } = context;
  const { ref, names, labels = {}, ephemeral = false, copy = false, allowRunning = false } = params;
  if (names.length === 0) throw new StoreError("USAGE", { reason: "no name for the clone" });
  if (copy) refuseForCopies(params);
  const expires = expiryOf(params.expires);
  const identity = identityFor(store, params.identity);
  // Whoever makes such clones makes many, and some may have lost their monitor.
  if (ephemeral) await sweepAllEphemeral(context);
  else await sweepNames(context, names);
  const original = await resolveOriginal(context, ref, allowRunning);
  const lxcPath = lxcPathFor(store, params);
  const origin = originOf(store, original);
  const container = containerOf(store, original);
  const configOf = configFrom(context, container, lxcPath, { ...params, identity });
  const config = lxcPath === null ? null : configOf(names[0] ?? "", "none yet");
  const idMap = idMapFor(params.idMap, config, container?.ref.idMap ?? null);
  const identityPending = isIdentityPending(store, identity, lxcPath, origin.tree);
  if (copy) {
    if (lxcPath === null)
      throw new StoreError("USAGE", {
        reason: "a copy is an LXC directory, and there is no LXC path",
        hint: "name one with --lxcpath",
      });
    const { tree } = origin;
    const losses = await makeCopies(context, {
      names,
      tree,
      lxcPath,
      configOf,
      idMap,
      hasOwnIdentity: identityPending,
    });
    return { ref, names, digest: tree, lxcPath, losses };
  }
  const traits = { ephemeral, expires, idMap, identityPending };
  const found = container && directoryOf(container.name, container.ref);
  await makeContainers(context, {
    names,
    origin,
    isNamed: isNamed(store, original),
    labels,
    lxcPath,
    configOf,
    traits,
    from: ref,
    standsOn: found === undefined ? undefined : standsOn(store, readContainerDirectory(found)),
  });
  return { ref, names, digest: original.tree, lxcPath, losses: [] };
}

/** False also for one that runs, whose state of just now stands in no record. */
function isNamed(store: Store, original: Resolved): boolean {
  if (original.kind === "tree") return false;
  const recorded = store.refs.find(original.name);
  return recorded !== undefined && store.refs.treeOf(recorded) === original.tree;
}

/** What is kept in a container's record. @throws {StoreError} USAGE */
function refuseForCopies({ ephemeral = false, labels = {}, expires }: CloneParams): void {
  const lost = [
    ephemeral ? "ephemeral" : [],
    Object.keys(labels).length > 0 ? "labels" : [],
    expires === undefined ? [] : "expires",
  ].flat();
  if (lost.length === 0) return;
  throw new StoreError("USAGE", {
    reason: `a copy cannot have ${lost.join(", ")}: the store has no record of it`,
    hint: "leave that out, or make a snapshot clone",
  });
}

export async function resolveOriginal(context: Context, text: string, allowRunning: boolean): Promise<Resolved> {
  await settlePast(context, text);
  const original = await resolveRef(context.store, text);
  await requireWhole(context, text, original);
  if (original.kind !== "container") return original;
  const { name } = original;
  const ref = await settleToCopy(context, name, original.ref, allowRunning);
  return { kind: "container", name, ref, tree: ref.tree };
}

export function originOf(store: Store, original: Resolved): Origin {
  const { tree } = original;
  switch (original.kind) {
    case "container":
      return { base: original.ref.base, lower: original.ref.lower, tree };
    case "layer":
      if (parseSnapshotName(original.name) === undefined) return { base: original.ref.layer, lower: tree, tree };
      return snapshotOrigin(store, store.refs.layer(original.ref.layer), snapshotOwner(store, original.name)?.ref);
    case "tree":
      return { base: original.past?.ref.base ?? null, lower: original.past?.ref.lower ?? tree, tree };
  }
}

interface NamedContainer {
  readonly name: string;
  readonly ref: ContainerRef;
  /** Of one that is gone, the config that it had. */
  readonly config?: ConfigFile | undefined;
}

/** The container that `original` is, was, or is a snapshot of. */
function containerOf(store: Store, original: Resolved): NamedContainer | undefined {
  if (original.kind === "layer") return snapshotOwner(store, original.name);
  if (original.kind === "container") return original;
  if (original.past === undefined) return undefined;
  const { name, ref, files } = original.past;
  const now = store.refs.find(name);
  if (now?.type === "container" && now.created === ref.created) return { name, ref: now };
  return { name, ref, config: keptConfig(files) };
}

/**
 * A clone of a container with an LXC directory, or of its snapshot, has that one's config; others begin with the template. Settings
 * go over both.
 */
function configFrom(
  context: Context,
  container: NamedContainer | undefined,
  lxcPath: string | null,
  params: LxcParams & { readonly identity: GivenIdentity },
): (name: string, rootfs: string) => ConfigFile {
  const { store } = context;
  const fromTemplate = (name: string, rootfs: string): ConfigFile => newConfig(store, name, rootfs, params);
  if (container === undefined || params.config !== undefined) return fromTemplate;
  const originalDirectory = directoryOf(container.name, container.ref);
  const config = originalDirectory === undefined ? undefined : (container.config ?? configIn(originalDirectory));
  if (originalDirectory === undefined || config === undefined) return fromTemplate;
  const warned = new Set<string>();
  return (name, rootfs) => {
    const directory = `${lxcPath ?? ""}/${name}`;
    const cloned = cloneConfig(config, {
      originalName: container.name,
      originalDirectory,
      name,
      directory,
      rootfs,
      identity: params.identity === "keep" ? "keep" : "new",
    });
    for (const warning of cloned.warnings) {
      if (warned.has(warning)) continue;
      warned.add(warning);
      warn(context, `${name}: ${warning}`);
    }
    return withSettings(cloned.config, (params.settings ?? []).map(parseSetting));
  };
}

function configIn(directory: string): ConfigFile | undefined {
  const found = readContainerDirectory(directory);
  return found.type === "container" ? found.config : undefined;
}
