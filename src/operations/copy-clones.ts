import { asStoreError, StoreError } from "../errors.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { makePlainDirectory } from "../lxc/container-directory.ts";
import { hooksFile } from "../lxc/hooks.ts";
import { withIdMap } from "../lxc/id-map-config.ts";
import { plainConfig } from "../lxc/plain-config.ts";
import { Staging } from "../lxc/staging.ts";
import type { Digest } from "../model/digest.ts";
import { rootOf } from "../model/id-map.ts";
import type { IdMap } from "../model/id-map.ts";
import { writeDirectory } from "../sinks/directory.ts";
import type { Losses } from "../sinks/written.ts";
import { diffTrees } from "../trees/diff.ts";
import type { Context } from "./context.ts";
import { requireMappable } from "./id-maps.ts";
import { treeWithIdentity } from "./identity.ts";
import { requireFreeDirectory } from "./lxc-host.ts";
import { requireFree } from "./references.ts";

export interface NewCopies {
  readonly names: readonly string[];
  readonly tree: Digest;
  readonly lxcPath: string;
  readonly configOf: (name: string, rootfs: string) => ConfigFile;
  readonly idMap: IdMap | null;
  /** Whether each is to be a machine of its own, in its files. */
  readonly hasOwnIdentity: boolean;
}

/**
 * Makes containers of LXC alone, each with its whole filesystem as a directory: they need neither the store nor delta0, and no record
 * names them. A kill leaves each whole, or not at all.
 *
 * @returns what each of them lacks
 * @throws {StoreError} EXISTS, USAGE, NO_SPACE, REFUSED
 */
export async function makeCopies(context: Context, options: NewCopies): Promise<Losses> {
  const { store } = context;
  const { names, lxcPath, idMap } = options;
  if (new Set(names).size < names.length) throw new StoreError("USAGE", { reason: "a name is given twice" });
  for (const name of names) {
    requireFree(store, name);
    requireFreeDirectory(lxcPath, name);
  }
  if (idMap !== null) requireMappable(context, idMap, [lxcPath]);
  let losses: Losses = [];
  try {
    // The store knows none of them: what is not in its place when this ends is deleted.
    using staging = Staging.begin(store.paths.staging, lxcPath, store.refs);
    for (const [i, name] of names.entries()) losses = await makeCopy(context, staging.directory, name, i, options);
    staging.sync();
    for (const name of names) staging.publish(name);
  } catch (error) {
    throw asStoreError(error, `making containers in ${lxcPath}`);
  }
  return losses;
}

async function makeCopy(
  context: Context,
  parent: string,
  name: string,
  made: number,
  { names, tree, lxcPath, configOf, idMap, hasOwnIdentity }: NewCopies,
): Promise<Losses> {
  const { trees, content, paths } = context.store;
  const config = plainConfig(withIdMap(configOf(name, `dir:${lxcPath}/${name}/rootfs`), idMap), hooksFile(paths));
  const mappedGid = idMap === null ? undefined : rootOf(idMap).gid;
  const directory = makePlainDirectory(parent, { name, config, mappedGid });
  const own = trees.tree(hasOwnIdentity ? await treeWithIdentity(context, name, tree, config) : tree);
  const { entries: each, bytes: eachBytes } = own.root.listing;
  const { losses } = await writeDirectory(`${directory}/rootfs`, diffTrees(trees, undefined, own), content, {
    idMap,
    signal: context.signal,
    onProgress: ({ entries, bytes }) =>
      context.onProgress?.({
        phase: "copying",
        entries: made * each + entries,
        bytes: made * eachBytes + bytes,
        totalEntries: names.length * each,
        totalBytes: names.length * eachBytes,
      }),
  });
  return losses;
}
