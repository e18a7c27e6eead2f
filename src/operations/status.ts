import type { Digest } from "../model/digest.ts";
import type { Context } from "./context.ts";
import { describeDifferences } from "./describe.ts";
import type { ChangeDescription } from "./describe.ts";
import type { DiffOptions } from "./differences.ts";
import { totalsOfChanges } from "./change-totals.ts";
import type { ChangeTotals } from "./change-totals.ts";
import { requireContainer } from "./references.ts";
import { settle } from "./settle.ts";
import { warnOfTrouble } from "./trouble.ts";
import type { ContainerState } from "./container-state.ts";

export interface StatusParams extends DiffOptions {
  readonly name: string;
}

export interface Status {
  readonly name: string;
  readonly state: ContainerState;
  /** When the changes were read, if they come from a delta directory. */
  readonly captured: string | null;
  readonly lower: Digest;
  readonly digest: Digest;
  readonly changes: readonly ChangeDescription[];
  readonly totals: ChangeTotals;
}

/** What a container changed of the tree it stands on. Costs what changed, not what is there. */
export async function status(context: Context, { name, ...options }: StatusParams): Promise<Status> {
  const { trees } = context.store;
  const settled = await settle(context, name, await requireContainer(context.store, name));
  warnOfTrouble(context, [[name, settled]]);
  const { ref, state } = settled;
  const changes = describeDifferences(trees, trees.tree(ref.lower), trees.tree(ref.tree), options);
  return {
    name,
    state,
    captured: ref.captured,
    lower: ref.lower,
    digest: ref.tree,
    changes,
    totals: totalsOfChanges(changes),
  };
}
