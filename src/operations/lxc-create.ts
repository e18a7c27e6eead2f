import { existsSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import type { ContainerRef } from "../containers/records.ts";
import { timestamp } from "../containers/refs.ts";
import { asStoreError, errnoOf, StoreError } from "../errors.ts";
import { treeOfStack } from "../exports/export-stack.ts";
import { getValue } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { fillContainerDirectory, linkRootfs } from "../lxc/container-directory.ts";
import { hooksFile } from "../lxc/hooks.ts";
import { withIdMap } from "../lxc/id-map-config.ts";
import type { Identity } from "../lxc/identity.ts";
import { parseRootfsPath } from "../lxc/rootfs-path.ts";
import { containerConfig } from "../lxc/template.ts";
import type { Digest } from "../model/digest.ts";
import type { Store } from "../store.ts";
import { syncFilesystem } from "../sys/durable.ts";
import { userNamespace } from "../sys/user-namespace.ts";
import { writeUpper } from "./change-container.ts";
import { originOf, resolveOriginal } from "./clone.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { sweepNames } from "./ephemeral.ts";
import { readForeignConfig } from "./foreign.ts";
import { idMapFor } from "./id-maps.ts";
import { identityFor, isIdentityPending } from "./identity.ts";
import { dialectOf, ensureHooks, rootfsFor } from "./lxc-host.ts";
import { requireFree } from "./references.ts";
import { refuseChanged, standingOfNew } from "./standing.ts";

/** What lxc-create tells its templates, and what stands after its "--". */
export interface LxcCreateParams {
  readonly name: string;
  /** LXCPATH/NAME, which lxc-create has made, with the config that it is to have under our keys. */
  readonly path: string;
  /** A ref. */
  readonly image: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Default: the store's setting, else new. */
  readonly identity?: Identity;
}

export interface LxcCreated {
  readonly name: string;
  readonly image: string;
  readonly digest: Digest;
  readonly lxcPath: string;
}

/**
 * Makes a container in the directory that lxc-create has made for it, as its template. Should it fail, lxc-create removes the
 * directory; so the record is written when all is there.
 *
 * @throws {StoreError} EXISTS, NOT_FOUND, UNSUPPORTED for storage other than `-B dir` and `-B overlay`
 */
export async function lxcCreate(context: Context, params: LxcCreateParams): Promise<LxcCreated> {
  using _operation = context.store.begin();
  const { store } = context;
  const { name, image, labels = {} } = params;
  const directory = resolve(params.path);
  const lxcPath = dirname(directory);
  if (basename(directory) !== name)
    throw new StoreError("USAGE", { reason: `${directory} is not the directory of ${name}` });
  const given = givenConfig(directory);
  await sweepNames(context, [name]);
  requireFreeOrGone(context, name, lxcPath);
  const original = await resolveOriginal(context, image, false);
  const origin = originOf(store, original);
  const idMap = idMapFor(undefined, given, null);
  const identityPending = isIdentityPending(store, identityFor(store, params.identity), lxcPath, origin.tree);
  const ref: ContainerRef = {
    type: "container",
    ...origin,
    generation: 1,
    created: timestamp(),
    captured: null,
    lxcPath,
    labels,
    ephemeral: false,
    expires: null,
    identityPending,
    idMap,
  };
  const stack = standingOfNew(store, ref, { lxcPath });
  refuseChanged(store, stack, image);
  store.exports.touch(stack);
  const template = { name, rootfs: rootfsFor(store, lxcPath, name, stack), hooksFile: hooksFile(store.paths) };
  const config = withIdMap(containerConfig({ ...template, template: given }), idMap);
  // In the user namespace of an id map nobody may write an upper.
  const upper = { lower: treeOfStack(stack), tree: origin.tree, idMap };
  const isPending = upper.lower !== upper.tree || identityPending || idMap !== null;
  requireHooks(store);
  try {
    fillContainerDirectory(directory, { config, delta: isPending ? { pending: ref.generation } : "none" });
    if (!isPending) await writeUpper(context, `${directory}/delta0`, upper, dialectOf(config));
    syncFilesystem(directory);
    await store.change(context, [{ name, before: null, after: ref }]);
  } catch (error) {
    throw asStoreError(error, `making ${directory}`);
  }
  showExport(context, directory, store.exports.path(stack[0]));
  return { name, image, digest: original.tree, lxcPath };
}

/** Hooks run outside: who is not root of the namespace that he is in has been put there, and cannot write them. */
function requireHooks(store: Store): void {
  const isPutThere = userNamespace() !== undefined && process.geteuid?.() !== 0;
  if (!isPutThere) ensureHooks(store);
  else if (!existsSync(hooksFile(store.paths)))
    throw new StoreError("REFUSED", { reason: "there are no hooks of this store", hint: "delta0 lxc hooks install" });
}

/** @throws {StoreError} USAGE if lxc-create has made no such directory; UNSUPPORTED */
function givenConfig(directory: string): ConfigFile {
  const config = readForeignConfig(`${directory}/config`);
  if (config === undefined)
    throw new StoreError("USAGE", {
      reason: `lxc-create has made no ${directory}/config`,
      hint: "this is what lxc-create calls: lxc-create -t delta0 -n NAME -- --image REF",
    });
  const rootfs = parseRootfsPath(getValue(config, "lxc.rootfs.path") ?? "");
  const place =
    rootfs.type === "overlay" ? rootfs.lowers.at(-1) : rootfs.type === "directory" ? rootfs.path : undefined;
  if (place === `${directory}/rootfs`) return config;
  throw new StoreError("UNSUPPORTED", {
    what: `delta0 brings the storage itself, and this is ${getValue(config, "lxc.rootfs.path") ?? "none"}`,
    hint: "do without -B and --dir, or take -B dir",
  });
}

function requireFreeOrGone({ store }: Context, name: string, lxcPath: string): void {
  // lxc-create has made the directory just now: whatever the record's was, it is no more.
  if (store.refs.has(name, lxcPath))
    requireFree(store, name, `somebody removed its LXC directory; delta0 rm ${name} forgets it`);
  requireFree(store, name);
}

/** The container is made by now, whatever comes of this. */
function showExport(context: Context, directory: string, exportPath: string): void {
  try {
    linkRootfs(directory, exportPath);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    warn(context, `${directory}/rootfs was left as it is: ${(error as Error).message}`);
  }
}
