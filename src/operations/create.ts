import { existsSync } from "node:fs";
import type { Layer } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import { clone } from "./clone.ts";
import type { Cloned } from "./clone.ts";
import { requireRoom } from "./room.ts";
import type { Context } from "./context.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import type { Identity } from "../lxc/identity.ts";
import { idMapFor } from "./id-maps.ts";
import { identityFor, isIdentityPending } from "./identity.ts";
import { expiryOf, sweepNames } from "./ephemeral.ts";
import { lxcPathFor, newConfig } from "./lxc-host.ts";
import type { LxcParams } from "./lxc-host.ts";
import { makeContainers } from "./make-containers.ts";
import type { IdMap } from "../model/id-map.ts";
import { requireFree } from "./references.ts";
import { describeSource, readSource } from "./source.ts";
import type { SourceParams } from "./source.ts";
import type { Tree } from "../trees/tree-store.ts";

export interface CreateParams extends LxcParams, SourceParams {
  /** A ref, or whatever `import` takes, which then becomes a layer without a name. */
  readonly source: string;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** From when on it may be removed as expired, RFC 3339. */
  readonly expires?: string;
  /** Default: the store's setting, else new. Without an LXC directory it is kept. */
  readonly identity?: Identity;
}

/** Makes a container of a ref or a source. */
export async function create(context: Context, params: CreateParams): Promise<Cloned> {
  using _operation = context.store.begin();
  await requireRoom(context);
  const { store } = context;
  const { source, name } = params;
  await sweepNames(context, [name]);
  requireFree(store, name);
  if (!isSource(context, source)) return await clone(context, { ...params, ref: source, names: [name] });
  // Before all of it is read.
  placeOf(context, params);
  const made = await makeCreated(
    context,
    params,
    await readSource(context, params, { trustKnown: true }),
    describeSource(params),
  );
  return { ...made, ref: source };
}

/**
 * Makes a container of a tree that was read just now, and a layer without a name of that.
 *
 * @param from where it comes from, for people
 */
export async function makeCreated(
  context: Context,
  params: Omit<CreateParams, "source">,
  { digest }: Tree,
  from: string,
): Promise<Cloned> {
  const { store } = context;
  const { name, labels = {} } = params;
  const expires = expiryOf(params.expires);
  const identity = identityFor(store, params.identity);
  const { lxcPath, configOf, idMap } = placeOf(context, params);
  const layer: Layer = { tree: digest, parent: null, created: timestamp(), message: "", source: from };
  await makeContainers(context, {
    names: [name],
    origin: { base: layerDigest(layer), lower: digest, tree: digest },
    labels,
    lxcPath,
    configOf,
    layers: [layer],
    traits: { expires, idMap, identityPending: isIdentityPending(store, identity, lxcPath, digest) },
  });
  return { ref: from, names: [name], digest, lxcPath, losses: [] };
}

interface Place {
  readonly lxcPath: string | null;
  readonly configOf: (name: string, rootfs: string) => ConfigFile;
  readonly idMap: IdMap | null;
}

function placeOf({ store }: Context, params: Omit<CreateParams, "source">): Place {
  const lxcPath = lxcPathFor(store, params);
  const configOf = (name: string, rootfs: string): ConfigFile => newConfig(store, name, rootfs, params);
  const idMap = idMapFor(params.idMap, lxcPath === null ? null : configOf(params.name, "none yet"), null);
  return { lxcPath, configOf, idMap };
}

/** Names win; what has a slash is a path, and so is what exists as a file. */
function isSource({ store }: Context, text: string): boolean {
  if (text === "-" || text.includes("/") || text.startsWith("oci:")) return true;
  return store.refs.find(text) === undefined && existsSync(text);
}
