import { realpathSync } from "node:fs";
import type { Layer } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import { partsOfKey } from "../exports/export-key.ts";
import { changedPaths, readExport } from "../exports/manifest.ts";
import type { Manifest } from "../exports/manifest.ts";
import { shiftedIn } from "../format/shift-ids.ts";
import type { Adoptable, AdoptableRootfs } from "../lxc/adoptable.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { mountsWithin } from "../lxc/convertible.ts";
import { refuseHiddenLinks } from "../lxc/upper.ts";
import type { Digest } from "../model/digest.ts";
import { displayName } from "../model/name.ts";
import { LossTally } from "../sinks/written.ts";
import type { Loss, Losses } from "../sinks/written.ts";
import type { Store } from "../store.ts";
import type { Context } from "./context.ts";
import { idMapOfExport, warnOfLosses } from "./id-maps.ts";
import { dialectOf } from "./lxc-host.ts";
import type { Origin } from "./make-containers.ts";
import { readDelta } from "./read-delta.ts";
import { readSource } from "./source.ts";

/** What an LXC container is in the store's terms. */
export interface ReadAdoptable {
  readonly origin: Origin & { readonly base: Digest };
  readonly snapshots: readonly { readonly snapshot: string; readonly layer: Layer }[];
  /** All layers of it that are to be recorded. */
  readonly layers: readonly Layer[];
  readonly losses: Losses;
}

/**
 * Reads a container that does not run, and its snapshots, into trees. What several of them stand on is read once, and an export of
 * the store not at all.
 *
 * @param name that it will have
 */
export async function readContainer(context: Context, container: Adoptable, name: string): Promise<ReadAdoptable> {
  const reader = new Reader(context);
  const own = await reader.read(container.rootfs, container.config);
  const created = timestamp();
  const layers = new Map<Digest, Layer>();
  const baseFor = (lower: Digest, { lowers }: AdoptableRootfs): Digest => {
    const known = layers.get(lower);
    const layer = known ?? { tree: lower, parent: null, created, message: "", source: lowers.join(":") };
    layers.set(lower, layer);
    return layerDigest(layer);
  };
  const base = baseFor(own.lower, container.rootfs);
  const snapshots = [];
  for (const { snapshot, rootfs, config, message, created } of container.snapshots) {
    const { lower, tree } = await reader.read(rootfs, config);
    // A snapshot of a plain directory is a copy: what it shares with the container is what both stand on.
    const isCopy = rootfs.upper === undefined && container.rootfs.upper === undefined;
    const parent = isCopy ? base : baseFor(lower, rootfs);
    snapshots.push({ snapshot, layer: { tree, parent, created, message, source: `snapshot of ${name}` } });
  }
  return {
    origin: { base, ...own },
    snapshots,
    layers: [...layers.values(), ...snapshots.map(({ layer }) => layer)],
    losses: reader.losses,
  };
}

class Reader {
  readonly losses: Loss[] = [];
  readonly #context: Context;
  /** By what was read, one over the other, and how. */
  readonly #trees = new Map<string, Digest>();

  constructor(context: Context) {
    this.#context = context;
  }

  async read(rootfs: AdoptableRootfs, config: ConfigFile): Promise<{ readonly lower: Digest; readonly tree: Digest }> {
    const { lowers, upper } = rootfs;
    if (upper === undefined) {
      const path = lowers[0] ?? "";
      const tree = await this.#once(["plain", path, rootfs.idMap], () => this.#readPlain(path, rootfs));
      return { lower: tree, tree };
    }
    const form = { dialect: dialectOf(config), idMap: rootfs.idMap };
    const exported = exportedTree(this.#context.store, lowers, config);
    let lower = exported?.tree ?? null;
    const deltas = lowers.slice(0, exported?.at ?? lowers.length).reverse();
    for (const path of deltas) {
      const below: Digest | null = lower;
      lower = await this.#once([path, below, form], () => this.#readDelta(path, below, form));
    }
    if (lower === null) throw new Error("an overlay without a lower");
    return { lower, tree: await this.#readDelta(upper, lower, form) };
  }

  async #once(what: unknown, read: () => Promise<Digest>): Promise<Digest> {
    const key = JSON.stringify(what);
    const known = this.#trees.get(key) ?? (await read());
    this.#trees.set(key, known);
    return known;
  }

  async #readDelta(path: string, lower: Digest | null, form: Parameters<typeof readDelta>[3]): Promise<Digest> {
    refuseHiddenLinks(path);
    const { tree, losses } = await readDelta(this.#context, path, lower, form);
    this.losses.push(...losses);
    return tree.digest;
  }

  async #readPlain(path: string, { idMap }: AdoptableRootfs): Promise<Digest> {
    const tally = new LossTally();
    const shift = idMap === null ? undefined : shiftedIn(idMap, (...loss) => tally.add(...loss));
    const tree = await readSource(this.#context, { source: path }, { shift });
    warnOfLosses(this.#context, `what was read of ${path}`, tally.list);
    this.losses.push(...tally.list);
    return tree.digest;
  }
}

/** Of lowers that are exports of the store to the last one, as in what lxc-copy made of its containers: what all of them show. */
function exportedTree(
  { exports }: Store,
  lowers: readonly string[],
  config: ConfigFile,
): { readonly tree: Digest; readonly at: number } | undefined {
  const at = lowers.findLastIndex((path) => exports.keyOf(path) === undefined) + 1;
  const key = exports.keyOf(lowers[at] ?? "");
  if (key === undefined) return undefined;
  // Also tells whether it is the export for the ids that the container has.
  idMapOfExport(key, undefined, config);
  return { tree: partsOfKey(key).tree, at };
}

/** What a container was when it was begun to be read, to tell whether it still is that in the end. */
export class Unchanged {
  readonly #manifests = new Map<string, Manifest>();

  /** @throws {StoreError} REFUSED if something is mounted below what is to be read */
  constructor(store: Store, { rootfs, snapshots }: Adoptable) {
    for (const { lowers, upper } of [rootfs, ...snapshots.map((snapshot) => snapshot.rootfs)]) {
      for (const path of [...lowers, upper ?? []].flat()) {
        if (this.#manifests.has(path) || store.exports.keyOf(path) !== undefined) continue;
        const directory = realpathSync(path);
        const mount = mountsWithin(directory).find((mountPoint) => mountPoint !== directory);
        if (mount !== undefined)
          throw new StoreError("REFUSED", { reason: `${mount} is a mount in ${path}`, hint: `umount ${mount}` });
        this.#manifests.set(path, readExport(path).manifest);
      }
    }
  }

  /** @param placeOf where a path that was read is by now @throws {StoreError} SOURCE_INVALID */
  require(placeOf: (path: string) => string = (path) => path): void {
    for (const [path, manifest] of this.#manifests) {
      const [changed] = changedPaths(manifest, readExport(placeOf(path)).manifest);
      if (changed === undefined) continue;
      throw new StoreError("SOURCE_INVALID", {
        source: `${path}/${displayName(changed)}`,
        reason: "changed while it was read",
        hint: "stop what writes there, and try again",
      });
    }
  }
}
