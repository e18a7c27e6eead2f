import type { ContainerRef } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import { claimContainer } from "../lxc/claim.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import { runningContainers } from "../lxc/running.ts";
import type { RunningContainers } from "../lxc/running.ts";
import type { Store } from "../store.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { directoryOf } from "./lxc-host.ts";
import { standsOn } from "./standing.ts";
import { takeAway } from "./take-away.ts";

type Row = readonly [name: string, ref: ContainerRef];

/**
 * Removes those that are ephemeral and over: they have run and stopped, or were never started and have expired. Their post-stop hook
 * does that; after a killed monitor or a crash of the host it is done here. What cannot be removed is warned of, and stays.
 *
 * @returns the names of those that are gone
 */
export async function sweepEphemeral(
  context: Context,
  rows: Iterable<Row>,
  running?: RunningContainers,
): Promise<ReadonlySet<string>> {
  const ephemeral: Row[] = [];
  for (const row of rows) if (row[1].ephemeral) ephemeral.push(row);
  if (ephemeral.length === 0) return new Set();
  const { store } = context;
  const now = running ?? runningContainers();
  const gone = new Set<string>();
  for (const [name, ref] of ephemeral) {
    const over = findOver(store, name, ref, now);
    if (over === undefined) continue;
    try {
      await removeOver(context, name, ref, over);
      gone.add(name);
    } catch (error) {
      // One that is in the way must not stop whoever only looks.
      context.signal?.throwIfAborted();
      if (!(error instanceof Error)) throw error;
      warn(context, `${name} is ephemeral and over, but could not be removed: ${error.message}`);
    }
  }
  return gone;
}

/** As `sweepEphemeral`, of all that the store has. */
export async function sweepAllEphemeral(context: Context): Promise<void> {
  const rows: Row[] = [];
  for (const [name, ref] of await context.store.refs.list(() => undefined))
    if (ref.type === "container" && ref.ephemeral) rows.push([name, ref]);
  await sweepEphemeral(context, rows);
}

/** As `sweepEphemeral`, of those that have names which somebody wants to give. */
export async function sweepNames(context: Context, names: Iterable<string>): Promise<void> {
  const rows: Row[] = [];
  for (const name of names) {
    const ref = context.store.refs.find(name);
    if (ref?.type === "container" && ref.ephemeral) rows.push([name, ref]);
  }
  await sweepEphemeral(context, rows);
}

/** An ephemeral container that is over. */
export interface Over {
  /** Its LXC directory, if that is there and ours. */
  readonly directory: string | undefined;
}

/** @throws {StoreError} REFUSED if it is started */
export async function removeOver(
  context: Context,
  name: string,
  ref: ContainerRef,
  { directory }: Over,
): Promise<void> {
  await takeAway(context, new Map([[name, ref]]), directory === undefined ? [] : [directory], { byItself: true });
}

/**
 * Over is what is ephemeral and has run and stopped, as what overlayfs left beside its upper says, or has expired unstarted. One
 * that somebody claims is seen to by them.
 */
export function findOver(store: Store, name: string, ref: ContainerRef, running: RunningContainers): Over | undefined {
  if (!ref.ephemeral) return undefined;
  const directory = directoryOf(name, ref);
  const found = directory === undefined ? undefined : readContainerDirectory(directory);
  const isOurs = found?.type === "container" && standsOn(store, found) !== undefined;
  if (directory === undefined || ref.lxcPath === null || !isOurs)
    return isExpired(ref) ? { directory: undefined } : undefined;
  if (running.isRunning({ name, lxcPath: ref.lxcPath, upper: found.rootfs.upper })) return undefined;
  if (!found.uncaptured && !isExpired(ref)) return undefined;
  using claim = claimContainer(directory);
  return claim === undefined ? undefined : { directory };
}

/** @throws {StoreError} USAGE for what is no time */
export function expiryOf(time: string | undefined): string | null {
  if (time === undefined) return null;
  const at = new Date(time);
  if (Number.isNaN(at.getTime()))
    throw new StoreError("USAGE", { reason: `"${time}" is no time`, hint: "write it as RFC 3339 has it" });
  return at.toISOString().replace("Z", "000000Z");
}

export function isExpired({ expires }: Pick<ContainerRef, "expires">): boolean {
  return expires !== null && Date.parse(expires) <= Date.now();
}
