import type { ContainerRef } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import type { Losses } from "../sinks/written.ts";

/**
 * - `stored`: it has no LXC directory
 * - `stopped`, `running`
 * - `missing`: its LXC directory is gone; `foreign`: what is there is not ours any more
 */
export type ContainerState = "stored" | "stopped" | "running" | "missing" | "foreign";

export interface Settled {
  readonly ref: ContainerRef;
  readonly state: ContainerState;
  /** What of its ids was not mapped, if it was captured just now. */
  readonly losses?: Losses;
}

/**
 * @param otherwise what can be done instead of stopping it
 * @throws {StoreError} REFUSED in LXC's own words
 */
export function refuseRunning(name: string, state: ContainerState, lxcPath: string | null, otherwise = ""): void {
  if (state !== "running" || lxcPath === null) return;
  throw new StoreError("REFUSED", {
    reason: `Original container (${name}) is running`,
    hint: `stop it: lxc-stop -P ${lxcPath} -n ${name}${otherwise}`,
  });
}
