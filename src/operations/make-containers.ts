import { dirname } from "node:path";
import type { ContainerRef, Layer, RefChange } from "../containers/records.ts";
import { timestamp } from "../containers/refs.ts";
import { asStoreError, StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { treeOfStack } from "../exports/export-stack.ts";
import type { ExportStack } from "../exports/export-stack.ts";
import { rootOf } from "../model/id-map.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { makeContainerDirectory } from "../lxc/container-directory.ts";
import { withIdMap } from "../lxc/id-map-config.ts";
import { Staging } from "../lxc/staging.ts";
import { Turns } from "../sinks/turns.ts";
import { writeUpper } from "./change-container.ts";
import type { Context } from "./context.ts";
import { requireMappable } from "./id-maps.ts";
import { dialectOf, ensureHooks, requireFreeDirectory, rootfsFor } from "./lxc-host.ts";
import { keepFiles } from "./kept-files.ts";
import { requireFree } from "./references.ts";
import { refuseChanged, standingOfNew } from "./standing.ts";

/** What new containers begin as. */
export interface Origin {
  readonly base: Digest | null;
  readonly lower: Digest;
  readonly tree: Digest;
}

/** What a container is beside what it holds. */
export type Traits = Pick<ContainerRef, "ephemeral" | "expires" | "identityPending" | "idMap" | "created" | "captured">;
const ORDINARY = { ephemeral: false, expires: null, identityPending: false, idMap: null, captured: null };

export interface NewContainers {
  readonly names: readonly string[];
  readonly origin: Origin;
  /** Whether a name of the store stands for that at this time. */
  readonly isNamed?: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly traits?: Partial<Traits>;
  /** Where their LXC directories are made; null for none. */
  readonly lxcPath: string | null;
  readonly configOf: (name: string, rootfs: string) => ConfigFile;
  readonly layers?: readonly Layer[];
  /** What they are made from, for people. */
  readonly from?: string;
  /** What the container that they are made from stands on. */
  readonly standsOn?: ExportStack | undefined;
  /** Names that come to be along with them. */
  readonly others?: readonly RefChange[];
  /** Done with the directories when they are made, and the store does not know of them yet. */
  readonly prepare?: (staging: Staging) => void;
  /** Their places are taken, by what `prepare` takes away. */
  readonly replaces?: boolean;
}

/**
 * Makes containers, all or none: their directories beside their place, one change of the store, then into place.
 *
 * @throws {StoreError} EXISTS, USAGE, NO_SPACE
 */
export async function makeContainers(context: Context, options: NewContainers): Promise<void> {
  const { store } = context;
  const {
    names,
    origin,
    isNamed = false,
    labels,
    lxcPath,
    layers = [],
    others = [],
    prepare,
    replaces = false,
  } = options;
  if (new Set(names).size < names.length) throw new StoreError("USAGE", { reason: "a name is given twice" });
  for (const name of names) {
    requireFree(store, name);
    if (lxcPath !== null && !replaces) requireFreeDirectory(lxcPath, name);
  }
  // What an undo could not bring back, but whoever reads the history.
  const filesReplaced = (name: string): Pick<RefChange, "files"> =>
    replaces && lxcPath !== null ? { files: keepFiles(`${lxcPath}/${name}`) } : {};
  const ref: ContainerRef = {
    type: "container",
    ...origin,
    generation: 1,
    created: timestamp(),
    lxcPath,
    labels,
    ...ORDINARY,
    ...options.traits,
  };
  if (ref.idMap !== null && lxcPath !== null)
    requireMappable(context, ref.idMap, [dirname(store.paths.directory), lxcPath]);
  const added = names.map((name) => ({ name, before: null, after: ref, ...filesReplaced(name) }));
  const record = async (): Promise<void> => {
    if (isNamed && layers.length === 0 && others.length === 0) await store.addNames(context, added);
    else await store.change(context, [...added, ...others], layers);
  };
  if (lxcPath === null) {
    await record();
    return;
  }
  try {
    ensureHooks(store);
    using staging = Staging.begin(store.paths.staging, lxcPath, store.refs);
    await makeDirectories(context, staging.directory, { ...options, lxcPath }, ref);
    prepare?.(staging);
    staging.sync();
    await record();
    for (const name of names) staging.publish(name);
  } catch (error) {
    throw asStoreError(error, `making containers in ${lxcPath}`);
  }
}

async function makeDirectories(
  context: Context,
  parent: string,
  options: NewContainers & { readonly lxcPath: string },
  ref: ContainerRef,
): Promise<void> {
  const { store, onProgress, signal } = context;
  const { names, lxcPath, configOf, standsOn, layers = [] } = options;
  const what = options.from ?? names[0] ?? "";
  const { idMap, generation } = ref;
  const stack = standingOfNew(store, ref, { lxcPath, original: standsOn, layers });
  refuseChanged(store, stack, what);
  store.exports.touch(stack);
  const upper = { lower: treeOfStack(stack), tree: ref.tree, idMap };
  const isPending = upper.lower !== upper.tree || ref.identityPending;
  const exportPath = store.exports.path(stack[0]);
  const delta = isPending ? { pending: generation } : "none";
  const mappedGid = idMap === null ? undefined : rootOf(idMap).gid;
  const turns = new Turns({
    signal,
    onProgress: ({ entries }) =>
      onProgress?.({ phase: "making containers", entries, bytes: 0, totalEntries: names.length }),
  });
  for (const name of names) {
    const config = withIdMap(configOf(name, rootfsFor(store, lxcPath, name, stack)), idMap);
    makeContainerDirectory(parent, { name, config, exportPath, delta, mappedGid });
    if (!isPending) await writeUpper(context, `${parent}/${name}/delta0`, upper, dialectOf(config));
    turns.entries++;
    if (turns.due) await turns.rest();
  }
}
