import { resolve } from "node:path";
import { timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import type { Dialect } from "../format/overlay-xattrs.ts";
import type { Digest } from "../model/digest.ts";
import { refuseHiddenLinks } from "../lxc/upper.ts";
import { isDirectory } from "../sys/is-directory.ts";
import { upperIsMounted } from "../sys/mounts.ts";
import { changeContainer } from "./change-container.ts";
import type { Context } from "./context.ts";
import { readDelta } from "./read-delta.ts";
import { requireContainer } from "./references.ts";
import { refuseRunning } from "./container-state.ts";
import { settle } from "./settle.ts";
import type { Settled } from "./container-state.ts";

export interface CaptureParams {
  readonly name: string;
  /** A delta directory over the container's lower, to be its changes from now on. Default: its own. */
  readonly from?: string;
  /** The marks in `from`. Default: trusted. */
  readonly dialect?: Dialect;
}

export interface Captured {
  readonly name: string;
  readonly digest: Digest;
  /** False if the container was as it is. */
  readonly changed: boolean;
  readonly captured: string | null;
}

/** Reads what a stopped container changed into the store. */
export async function capture(context: Context, params: CaptureParams): Promise<Captured> {
  const { store } = context;
  const { name, from, dialect = "trusted" } = params;
  const before = await requireContainer(store, name);
  const settled = await settle(context, name, before);
  refuseRunning(name, settled.state, settled.ref.lxcPath);
  if (from !== undefined) await captureFrom(context, name, settled, from, dialect);
  const after = await requireContainer(store, name);
  return { name, digest: after.tree, changed: after.tree !== before.tree, captured: after.captured };
}

async function captureFrom(
  context: Context,
  name: string,
  before: Settled,
  from: string,
  dialect: Dialect,
): Promise<void> {
  const directory = resolve(from);
  if (!isDirectory(directory)) throw new StoreError("NOT_FOUND", { what: `no delta directory ${from}` });
  const refuseMounted = (): void => {
    if (upperIsMounted(directory))
      throw new StoreError("REFUSED", { reason: `${from} is mounted`, hint: "unmount what changes it" });
  };
  refuseMounted();
  refuseHiddenLinks(directory);
  const tree = await readDelta(context, directory, before.ref.lower, dialect);
  refuseMounted();
  const after = { ...before.ref, tree: tree.digest, captured: timestamp() };
  await changeContainer(context, { name, before, after });
}
