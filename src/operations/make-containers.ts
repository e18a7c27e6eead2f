import type { ContainerRef, Layer } from "../containers/records.ts";
import { timestamp } from "../containers/refs.ts";
import { asStoreError, StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { makeContainerDirectory } from "../lxc/container-directory.ts";
import { Staging } from "../lxc/staging.ts";
import { Turns } from "../sinks/turns.ts";
import { writeUpper } from "./change-container.ts";
import type { Context } from "./context.ts";
import { dialectOf, installHooks, requireFreeDirectory, rootfsFor } from "./lxc-host.ts";
import { requireFree } from "./references.ts";

/** What new containers begin as. */
export interface Origin {
  readonly base: Digest | null;
  readonly lower: Digest;
  readonly tree: Digest;
}

/** What a container is beside what it holds. */
export type Traits = Pick<ContainerRef, "ephemeral" | "expires" | "identityPending" | "idMap">;
const ORDINARY: Traits = { ephemeral: false, expires: null, identityPending: false, idMap: null };

export interface NewContainers {
  readonly names: readonly string[];
  readonly origin: Origin;
  readonly labels: Readonly<Record<string, string>>;
  readonly traits?: Partial<Traits>;
  /** Where their LXC directories are made; null for none. */
  readonly lxcPath: string | null;
  readonly configOf: (name: string, rootfs: string) => ConfigFile;
  readonly layers?: readonly Layer[];
}

/**
 * Makes containers, all or none: their directories beside their place, one change of the store, then into place.
 *
 * @throws {StoreError} EXISTS, USAGE, NO_SPACE
 */
export async function makeContainers(context: Context, options: NewContainers): Promise<void> {
  const { store, command } = context;
  const { names, origin, labels, lxcPath, layers = [] } = options;
  if (new Set(names).size < names.length) throw new StoreError("USAGE", { reason: "a name is given twice" });
  for (const name of names) {
    requireFree(store, name);
    if (lxcPath !== null) requireFreeDirectory(lxcPath, name);
  }
  const ref: ContainerRef = {
    type: "container",
    ...origin,
    generation: 1,
    created: timestamp(),
    captured: null,
    lxcPath,
    labels,
    ...ORDINARY,
    ...options.traits,
  };
  const changes = names.map((name) => ({ name, before: null, after: ref }));
  if (lxcPath === null) {
    await store.change(command, changes, layers);
    return;
  }
  try {
    installHooks(store);
    using staging = Staging.begin(store.paths.staging, lxcPath, store.refs);
    await makeDirectories(context, staging.directory, { ...options, lxcPath }, ref.generation);
    staging.sync();
    await store.change(command, changes, layers);
    for (const name of names) staging.publish(name);
  } catch (error) {
    throw asStoreError(error, `making containers in ${lxcPath}`);
  }
}

async function makeDirectories(
  context: Context,
  parent: string,
  { names, origin, lxcPath, configOf }: NewContainers & { readonly lxcPath: string },
  generation: number,
): Promise<void> {
  const { store, onProgress, signal } = context;
  const pending = origin.lower !== origin.tree;
  const exportPath = store.exports.path(origin.lower);
  const turns = new Turns({
    signal,
    onProgress: ({ entries }) =>
      onProgress?.({ phase: "making containers", entries, bytes: 0, totalEntries: names.length }),
  });
  for (const name of names) {
    const config = configOf(name, rootfsFor(store, lxcPath, name, origin.lower));
    makeContainerDirectory(parent, { name, config, exportPath, delta: pending ? { pending: generation } : "none" });
    if (!pending) await writeUpper(context, `${parent}/${name}/delta0`, origin.lower, origin.tree, dialectOf(config));
    turns.entries++;
    if (turns.due) await turns.rest();
  }
}
