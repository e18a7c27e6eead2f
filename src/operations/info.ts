import type { StoreError } from "../errors.ts";
import { FORMAT_VERSION } from "../format/record.ts";
import type { StoreUsage } from "../store.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { isDamage } from "./references.ts";
import { parseSnapshotName } from "./snapshots.ts";
import { exportSpace } from "./sweep-exports.ts";

export interface StoreInfo extends StoreUsage {
  readonly directory: string;
  readonly formatVersion: number;
  readonly layers: number;
  readonly containers: number;
  readonly snapshots: number;
  readonly exports: number;
  /** What their files and directories take, beside the store's own. */
  readonly exportDiskBytes: number;
  /** Bytes of regular files of all layers, containers and snapshots, each counted in full. */
  readonly logicalBytes: number;
  /** `logicalBytes` to what chunks and nodes take; null for an empty store. */
  readonly ratio: number | null;
}

export async function info(context: Context): Promise<StoreInfo> {
  const { store } = context;
  let layers = 0;
  let containers = 0;
  let snapshots = 0;
  let logicalBytes = 0;
  const damaged = (name: string, error: StoreError): void => warn(context, `${name} is not counted: ${error.message}`);
  for (const [name, ref] of await store.refs.list(damaged)) {
    try {
      logicalBytes += store.trees.tree(store.refs.treeOf(ref)).root.listing.bytes;
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged(name, error);
      continue;
    }
    if (parseSnapshotName(name) !== undefined) snapshots++;
    else if (ref.type === "layer") layers++;
    else containers++;
  }
  const usage = await store.usage();
  const space = exportSpace(store);
  const accounted = usage.storedBytes + usage.nodeBytes;
  return {
    directory: store.paths.directory,
    formatVersion: FORMAT_VERSION,
    layers,
    containers,
    snapshots,
    exports: space.exports,
    exportDiskBytes: space.diskBytes,
    logicalBytes,
    ratio: accounted === 0 ? null : logicalBytes / accounted,
    ...usage,
  };
}
