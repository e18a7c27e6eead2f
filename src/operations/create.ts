import { existsSync } from "node:fs";
import type { Layer } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import { clone } from "./clone.ts";
import type { Cloned } from "./clone.ts";
import type { Context } from "./context.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import type { Identity } from "../lxc/identity.ts";
import { idMapFor } from "./id-maps.ts";
import { identityFor, isIdentityPending } from "./identity.ts";
import { expiryOf, sweepNames } from "./ephemeral.ts";
import { lxcPathFor, newConfig } from "./lxc-host.ts";
import type { LxcParams } from "./lxc-host.ts";
import { makeContainers } from "./make-containers.ts";
import { requireFree } from "./references.ts";
import { describeSource, readSource } from "./source.ts";
import type { SourceParams } from "./source.ts";

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
  const { store } = context;
  const { source, name, labels = {} } = params;
  const expires = expiryOf(params.expires);
  const identity = identityFor(store, params.identity);
  await sweepNames(context, [name]);
  requireFree(store, name);
  if (!isSource(context, source)) return await clone(context, { ...params, ref: source, names: [name] });
  const lxcPath = lxcPathFor(store, params);
  const configOf = (name: string, rootfs: string): ConfigFile => newConfig(store, name, rootfs, params);
  const idMap = idMapFor(params.idMap, lxcPath === null ? null : configOf(name, "none yet"), null);
  const tree = await readSource(context, params);
  const created = timestamp();
  const layer: Layer = { tree: tree.digest, parent: null, created, message: "", source: describeSource(params) };
  await makeContainers(context, {
    names: [name],
    origin: { base: layerDigest(layer), lower: tree.digest, tree: tree.digest },
    labels,
    lxcPath,
    configOf,
    layers: [layer],
    traits: { expires, idMap, identityPending: isIdentityPending(store, identity, lxcPath, tree.digest) },
  });
  return { ref: source, names: [name], digest: tree.digest, lxcPath, losses: [] };
}

/** Names win; what has a slash is a path, and so is what exists as a file. */
function isSource({ store }: Context, text: string): boolean {
  if (text === "-" || text.includes("/") || text.startsWith("oci:")) return true;
  return store.refs.find(text) === undefined && existsSync(text);
}
