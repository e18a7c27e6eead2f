import { resolve } from "node:path";
import { timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import type { Dialect } from "../format/overlay-xattrs.ts";
import type { Digest } from "../model/digest.ts";
import { treeOfStack } from "../exports/export-stack.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import { refuseHiddenLinks } from "../lxc/upper.ts";
import { parseIdMap } from "../model/id-map.ts";
import type { Losses } from "../sinks/written.ts";
import { isDirectory } from "../sys/is-directory.ts";
import { upperIsMounted } from "../sys/mounts.ts";
import { changeContainer } from "./change-container.ts";
import type { Context } from "./context.ts";
import { readDelta } from "./read-delta.ts";
import type { DeltaForm } from "./read-delta.ts";
import { requireContainer } from "./references.ts";
import { refuseRunning } from "./container-state.ts";
import { directoryOf } from "./lxc-host.ts";
import { standsOn } from "./standing.ts";
import { settle } from "./settle.ts";
import type { Settled } from "./container-state.ts";

export interface CaptureParams {
  readonly name: string;
  /** A delta directory over what the container stands on, to be its changes from now on. Default: its own. */
  readonly from?: string;
  /** The marks in `from`. Default: trusted. */
  readonly dialect?: Dialect;
  /** The id map whose ids `from` has, as `parseIdMap` takes it. Default: ids are as they are inside. */
  readonly idMap?: readonly string[];
}

export interface Captured {
  readonly name: string;
  readonly digest: Digest;
  /** False if the container was as it is. */
  readonly changed: boolean;
  readonly captured: string | null;
  /** What of the delta's ids the id map does not have. */
  readonly losses: Losses;
}

/** Reads what a stopped container changed into the store. */
export async function capture(context: Context, params: CaptureParams): Promise<Captured> {
  using _operation = context.store.begin();
  const { store } = context;
  const { name, from, dialect = "trusted", idMap } = params;
  const before = await requireContainer(store, name);
  const settled = await settle(context, name, before, { isAsked: true });
  refuseRunning(name, settled.state, settled.ref.lxcPath);
  const form = { dialect, idMap: idMap === undefined || idMap.length === 0 ? null : parseIdMap(idMap) };
  const losses = from === undefined ? settled.losses : await captureFrom(context, name, settled, from, form);
  const after = await requireContainer(store, name);
  return {
    name,
    digest: after.tree,
    changed: after.tree !== before.tree,
    captured: after.captured,
    losses: losses ?? [],
  };
}

async function captureFrom(
  context: Context,
  name: string,
  before: Settled,
  from: string,
  form: DeltaForm,
): Promise<Losses> {
  const directory = resolve(from);
  if (!isDirectory(directory)) throw new StoreError("NOT_FOUND", { what: `no delta directory ${from}` });
  const refuseMounted = (): void => {
    if (upperIsMounted(directory))
      throw new StoreError("REFUSED", { reason: `${from} is mounted`, hint: "unmount what changes it" });
  };
  refuseMounted();
  refuseHiddenLinks(directory);
  const own = directoryOf(name, before.ref);
  const stack = own === undefined ? undefined : standsOn(context.store, readContainerDirectory(own));
  const lower = stack === undefined ? before.ref.lower : treeOfStack(stack);
  const { tree, losses } = await readDelta(context, directory, lower, form);
  refuseMounted();
  const after = { ...before.ref, tree: tree.digest, captured: timestamp() };
  await changeContainer(context, { name, before, after });
  return losses;
}
