import type { ContainerRef, Layer } from "../containers/records.ts";
import { timestamp } from "../containers/refs.ts";
import { existsSync } from "node:fs";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { makeContainerDirectory } from "../lxc/container-directory.ts";
import { Staging } from "../lxc/staging.ts";
import { writeUpper } from "./change-container.ts";
import type { Context } from "./context.ts";
import { dialectOf, installHooks, rootfsFor } from "./lxc-host.ts";
import { requireFree } from "./references.ts";

/** What new containers begin as. */
export interface Origin {
  readonly base: Digest | null;
  readonly lower: Digest;
  readonly tree: Digest;
}

export interface NewContainers {
  readonly names: readonly string[];
  readonly origin: Origin;
  readonly labels: Readonly<Record<string, string>>;
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
  const { store, command, onProgress, signal } = context;
  const { names, origin, labels, lxcPath, configOf, layers = [] } = options;
  if (new Set(names).size < names.length) throw new StoreError("USAGE", { reason: "a name is given twice" });
  for (const name of names) {
    requireFree(store, name);
    if (lxcPath !== null && existsSync(`${lxcPath}/${name}`))
      throw new StoreError("EXISTS", {
        what: `${lxcPath}/${name} exists, and the store does not know it`,
        hint: "choose another name",
      });
  }
  const ref: ContainerRef = {
    type: "container",
    ...origin,
    generation: 1,
    created: timestamp(),
    captured: null,
    lxcPath,
    labels,
  };
  const changes = names.map((name) => ({ name, before: null, after: ref }));
  if (lxcPath === null) {
    await store.change(command, changes, layers);
    return;
  }
  installHooks(store);
  using staging = Staging.begin(store.paths.staging, lxcPath, store.refs);
  const pending = origin.lower !== origin.tree;
  const exportPath = store.exports.path(origin.lower);
  for (const [i, name] of names.entries()) {
    signal?.throwIfAborted();
    const config = configOf(name, rootfsFor(store, lxcPath, name, origin.lower));
    makeContainerDirectory(staging.directory, {
      name,
      config,
      exportPath,
      delta: pending ? { pending: ref.generation } : "none",
    });
    const upper = `${staging.directory}/${name}/delta0`;
    if (!pending) await writeUpper(context, upper, origin.lower, origin.tree, dialectOf(config));
    onProgress?.({ phase: "making containers", entries: i + 1, bytes: 0, totalEntries: names.length });
  }
  staging.sync();
  await store.change(command, changes, layers);
  for (const name of names) staging.publish(name);
}
