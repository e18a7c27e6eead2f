import type { Digest } from "../model/digest.ts";
import { diffTrees } from "../trees/diff.ts";
import type { Context } from "./context.ts";
import { describeChange } from "./describe.ts";
import type { ChangeDescription } from "./describe.ts";
import { requireContainer } from "./references.ts";
import { settle } from "./settle.ts";
import type { ContainerState } from "./container-state.ts";

export interface Status {
  readonly name: string;
  readonly state: ContainerState;
  /** When the changes were read, if they come from a delta directory. */
  readonly captured: string | null;
  readonly lower: Digest;
  readonly digest: Digest;
  readonly changes: readonly ChangeDescription[];
}

/** What a container changed of the tree it stands on. Costs what changed, not what is there. */
export async function status(context: Context, { name }: { readonly name: string }): Promise<Status> {
  const { trees } = context.store;
  const { ref, state } = await settle(context, name, await requireContainer(context.store, name));
  const changes = diffTrees(trees, trees.tree(ref.lower), trees.tree(ref.tree));
  return {
    name,
    state,
    captured: ref.captured,
    lower: ref.lower,
    digest: ref.tree,
    changes: Array.from(changes, describeChange),
  };
}
