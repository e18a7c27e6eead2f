import picomatch from "picomatch";
import type { ContainerRef, LayerRef, Ref } from "../containers/records.ts";
import type { StoreError } from "../errors.ts";
import { partsOfKey } from "../exports/export-key.ts";
import { runningContainers } from "../lxc/running.ts";
import type { Digest } from "../model/digest.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { isExpired, sweepEphemeral } from "./ephemeral.ts";
import { foreignContainers } from "./foreign.ts";
import { isDamage } from "./references.ts";
import { settle, storedAsTheyAre } from "./settle.ts";
import { warnOfTrouble } from "./trouble.ts";
import { compareSnapshots, parseSnapshotName } from "./snapshots.ts";
import type { ContainerState } from "./container-state.ts";

export interface ListParams {
  /** A glob over names. */
  readonly pattern?: string;
  readonly only?: "layers" | "containers" | "running" | "stopped" | "foreign";
  /** `KEY` or `KEY=VALUE`; all must fit. */
  readonly labels?: readonly string[];
  /** Those whose time is over. */
  readonly expired?: boolean;
  /** `files` and `sizeBytes` are null: what they are stands in each tree. */
  readonly withoutSizes?: boolean;
}

export interface ListItem {
  readonly name: string;
  /** `foreign`: an LXC container on one of our exports that the store does not know. */
  readonly type: "container" | "layer" | "foreign";
  /** A name of the layer that it stands on; its tree's digest if it has none any more. */
  readonly parent: string | null;
  readonly created: string | null;
  readonly digest: Digest | null;
  /** Entries of the tree, of whatever type, the root not counted. */
  readonly files: number | null;
  /** Bytes of its regular files. */
  readonly sizeBytes: number | null;
  /** Not known at once. */
  readonly exclusiveBytes: null;
  readonly state: ContainerState | "layer" | "not captured";
  readonly captured: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** A container's, by the names that go behind "@": snap2 before snap10. */
  readonly snapshots: readonly string[];
  readonly ephemeral: boolean;
  /** From when on it may be removed as expired. */
  readonly expires: string | null;
  readonly lxcDirectory: string | null;
}

/**
 * All containers, then all layers, each by name. What stopped containers changed is captured on the way, and ephemeral ones that
 * are over are removed. Snapshots stand with their containers.
 */
export async function list(context: Context, params: ListParams = {}): Promise<ListItem[]> {
  const { store } = context;
  const damaged = (name: string, error: StoreError): void => warn(context, `${name} is left out: ${error.message}`);
  const refs = await store.refs.list(damaged);
  const { plain, snapshots } = apart(refs);
  const described = describer(context, params, plain, refs);

  const fits = params.pattern === undefined ? () => true : picomatch(params.pattern);
  const running = runningContainers();
  const isStored = await storedAsTheyAre(store);
  const containers: ListItem[] = [];
  const layers: ListItem[] = [];
  const troubled: Parameters<typeof warnOfTrouble>[1][number][] = [];
  const gone = await sweepEphemeral(context, containersIn(plain), running);
  const narrowed = isNarrowed(params);
  for (const [name, ref] of plain) {
    if (!fits(name) || gone.has(name) || (narrowed && !isAskedFor(ref, params))) continue;
    try {
      if (ref.type === "layer") {
        layers.push(described.layer(name, ref));
        continue;
      }
      const settled = isStored(name, ref) ? { ref, state: "stored" as const } : await look(context, name, ref, running);
      const item = described.container(name, settled, snapshots.get(name) ?? []);
      containers.push(item);
      if (item.state === "missing" || item.state === "foreign") troubled.push([name, { ref, state: item.state }]);
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged(name, error);
    }
  }
  warnOfTrouble(context, troubled);
  const foreign = foreignContainers(store, refs).filter(({ name }) => fits(name));
  const all = [...containers, ...foreign.map(foreignItem), ...layers];
  return narrowed || params.only !== undefined ? all.filter((item) => wanted(item, params)) : all;
}

function* containersIn(
  refs: Iterable<readonly [name: string, ref: Ref]>,
): Generator<readonly [name: string, ref: ContainerRef]> {
  for (const [name, ref] of refs) if (ref.type === "container") yield [name, ref];
}

/** Names as `ls` has them, and the snapshots of each container. One whose container is gone is a layer like others. */
function apart(refs: readonly (readonly [name: string, ref: Ref])[]): {
  plain: (readonly [name: string, ref: Ref])[];
  snapshots: ReadonlyMap<string, string[]>;
} {
  const snapshots = new Map<string, string[]>();
  if (!refs.some(([name]) => name.includes("@"))) return { plain: [...refs], snapshots };
  const containers = new Set(Array.from(containersIn(refs), ([name]) => name));
  const plain = refs.filter(([name]) => {
    const parsed = name.includes("@") ? parseSnapshotName(name) : undefined;
    if (parsed === undefined || !containers.has(parsed.container)) return true;
    const others = snapshots.get(parsed.container);
    if (others === undefined) snapshots.set(parsed.container, [parsed.snapshot]);
    else others.push(parsed.snapshot);
    return false;
  });
  for (const names of snapshots.values()) names.sort(compareSnapshots);
  return { plain, snapshots };
}

/** One delta that cannot be read must not hide the others. */
async function look(
  context: Context,
  name: string,
  ref: ContainerRef,
  running: ReturnType<typeof runningContainers>,
): Promise<Looked> {
  try {
    return await settle(context, name, ref, { running });
  } catch (error) {
    context.signal?.throwIfAborted();
    if (!(error instanceof Error)) throw error;
    warn(context, `${name}: not captured: ${error.message}`);
    return { ref, state: "not captured" };
  }
}

interface Looked {
  readonly ref: ContainerRef;
  readonly state: ListItem["state"];
}

interface Describer {
  layer(name: string, ref: LayerRef): ListItem;
  container(name: string, looked: Looked, snapshots: readonly string[]): ListItem;
}

/** What many stand on, or are, is read once. */
function describer(
  { store }: Context,
  { withoutSizes = false }: ListParams,
  ...named: readonly (readonly (readonly [name: string, ref: Ref])[])[]
): Describer {
  const { refs, trees } = store;
  const layerNames = new Map<Digest, string>();
  // A layer's own name comes before that of a snapshot which is the same.
  for (const rows of named)
    for (const [name, ref] of rows)
      if (ref.type === "layer" && !layerNames.has(ref.layer)) layerNames.set(ref.layer, name);
  const parentName = (layer: Digest | null): string | null =>
    layer === null ? null : (layerNames.get(layer) ?? refs.layer(layer).tree);
  const sizes = new Map<Digest, Pick<ListItem, "files" | "sizeBytes">>();
  const sizesOf = (tree: Digest): Pick<ListItem, "files" | "sizeBytes"> => {
    if (withoutSizes) return NO_SIZES;
    const known = sizes.get(tree);
    if (known !== undefined) return known;
    const { entries, bytes } = trees.tree(tree).root.listing;
    const found = { files: entries, sizeBytes: bytes };
    sizes.set(tree, found);
    return found;
  };
  return {
    layer: (name, ref) => {
      const { parent, created, tree } = refs.layer(ref.layer);
      return {
        name,
        type: "layer",
        parent: parentName(parent),
        created,
        digest: tree,
        ...sizesOf(tree),
        exclusiveBytes: null,
        state: "layer",
        captured: null,
        labels: {},
        ...NOT_OF_CONTAINERS,
        lxcDirectory: null,
      };
    },
    container: (name, { ref, state }, snapshots) => {
      const { files, sizeBytes } = sizesOf(ref.tree);
      return {
        name,
        type: "container",
        parent: parentName(ref.base),
        created: ref.created,
        digest: ref.tree,
        files,
        sizeBytes,
        exclusiveBytes: null,
        state,
        captured: ref.captured,
        labels: ref.labels,
        snapshots,
        ephemeral: ref.ephemeral,
        expires: ref.expires,
        lxcDirectory: ref.lxcPath === null ? null : `${ref.lxcPath}/${name}`,
      };
    },
  };
}

const NO_SIZES = { files: null, sizeBytes: null } as const;
const NOT_OF_CONTAINERS = { snapshots: [], ephemeral: false, expires: null } as const;

function foreignItem({ name, lxcPath, lowers }: ReturnType<typeof foreignContainers>[number]): ListItem {
  return {
    name,
    type: "foreign",
    parent: lowers[0] === undefined ? null : partsOfKey(lowers[0]).tree,
    created: null,
    digest: null,
    files: null,
    sizeBytes: null,
    exclusiveBytes: null,
    state: "foreign",
    captured: null,
    labels: {},
    ...NOT_OF_CONTAINERS,
    lxcDirectory: `${lxcPath}/${name}`,
  };
}

function wanted({ type, state }: ListItem, params: ListParams): boolean {
  if (isNarrowed(params) && type === "foreign") return false;
  if (params.only === "layers" && type !== "layer") return false;
  if (params.only === "containers" && type !== "container") return false;
  if (params.only === "foreign" && type !== "foreign") return false;
  if (params.only === "running" && state !== "running") return false;
  return params.only !== "stopped" || (type === "container" && state !== "running");
}

/** Of a narrowed listing, what a record tells by itself, so that others need not be captured for it. */
function isAskedFor(ref: Ref, params: ListParams): boolean {
  if (ref.type === "layer" || (params.expired === true && !isExpired(ref))) return false;
  return (params.labels ?? []).every((label) => {
    const [key = "", value] = label.split(/=(.*)/s);
    return Object.hasOwn(ref.labels, key) && (value === undefined || ref.labels[key] === value);
  });
}

/** To containers, by labels or time. */
function isNarrowed({ labels = [], expired = false }: ListParams): boolean {
  return labels.length > 0 || expired;
}
