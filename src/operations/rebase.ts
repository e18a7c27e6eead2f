import type { Layer } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { Store } from "../store.ts";
import { TreeBuilder } from "../trees/builder.ts";
import { diffTrees } from "../trees/diff.ts";
import { mergeTrees } from "../trees/merge.ts";
import type { MergeAspect, Side } from "../trees/merge-node.ts";
import type { Conflict } from "../trees/merge-parts.ts";
import type { Tree } from "../trees/tree-store.ts";
import { changeContainer } from "./change-container.ts";
import { settleStopped } from "./container-draft.ts";
import type { Context } from "./context.ts";
import { describeNode, describePath } from "./describe.ts";
import type { NodeDescription } from "./describe.ts";
import { losesIdentity } from "./identity.ts";
import { isMachineWritten } from "./machine-written.ts";
import { requireContainer, resolveRef } from "./references.ts";

export interface RebaseParams {
  /** The container's. */
  readonly name: string;
  /** A layer. */
  readonly onto: string;
  /** Settles all conflicts: as the container has it ("ours"), or as the layer has it. */
  readonly prefer?: Side;
  readonly dryRun?: boolean;
}

export interface Rebased {
  readonly name: string;
  /** False if there were conflicts that nobody settled, or it was a dry run: then nothing was changed. */
  readonly rebased: boolean;
  readonly dryRun: boolean;
  readonly onto: string;
  /** What it stood on, and what it is to stand on. */
  readonly previousLower: Digest;
  readonly lower: Digest;
  readonly previousDigest: Digest;
  /** Null if it was not rebased. */
  readonly digest: Digest | null;
  /** By how much it differs from what it stands on now; null if it was not rebased. */
  readonly changes: number | null;
  /** Those that were settled, too. */
  readonly conflicts: readonly ConflictDescription[];
}

/** An entry that both the container and the layer changed of what the container stood on. A side without it is null. */
export interface ConflictDescription {
  readonly path: string;
  readonly pathBase64?: string;
  /** In what the two differ; none, if one of them removed it. */
  readonly differs: readonly MergeAspect[];
  readonly base: NodeDescription | null;
  readonly ours: NodeDescription | null;
  readonly theirs: NodeDescription | null;
  /** Of a directory that one side removed: how many entries in it the other changed. */
  readonly changedBelow?: number;
  /** Programs write it by themselves: databases of packages, caches, logs, what a machine is known by. */
  readonly machineWritten: boolean;
}

/**
 * Puts what a stopped container changed on another layer: a merge of both sides' changes, entry by entry. Snapshots stay as they are.
 *
 * @throws {StoreError} NOT_FOUND, USAGE for what is no layer, REFUSED while it runs: nothing was changed
 */
export async function rebase(context: Context, params: RebaseParams): Promise<Rebased> {
  using _operation = context.store.begin();
  const { trees } = context.store;
  const { name, onto, prefer, dryRun = false } = params;
  await requireContainer(context.store, name);
  const before = await settleStopped(context, name);
  const { ref } = before;
  const { layer, digest: base } = await requireLayer(context.store, onto);
  const theirs = trees.tree(layer.tree);
  const merge = mergeTrees(trees, { base: trees.tree(ref.lower), ours: trees.tree(ref.tree), theirs }, prefer);
  const result: Rebased = {
    name,
    rebased: false,
    dryRun,
    onto,
    previousLower: ref.lower,
    lower: theirs.digest,
    previousDigest: ref.tree,
    digest: null,
    changes: null,
    conflicts: merge.conflicts.map(describeConflict),
  };
  if (dryRun || (merge.conflicts.length > 0 && prefer === undefined)) return result;
  const builder = new TreeBuilder(trees, theirs);
  for (const change of merge.changes) builder.apply(change);
  const tree = builder.finish();
  const origin = { base, lower: theirs.digest, tree: tree.digest };
  const identityPending = ref.identityPending || losesIdentity(context.store, ref, origin);
  if (ref.base !== base || ref.lower !== origin.lower || ref.tree !== origin.tree)
    await changeContainer(context, {
      name,
      before,
      after: { ...ref, ...origin, identityPending },
      isReadyFirst: true,
    });
  return { ...result, rebased: true, digest: tree.digest, changes: countChanges(context.store, theirs, tree) };
}

async function requireLayer(store: Store, text: string): Promise<{ layer: Layer; digest: Digest }> {
  const found = await resolveRef(store, text);
  if (found.kind === "layer") return { layer: store.refs.layer(found.ref.layer), digest: found.ref.layer };
  throw new StoreError("USAGE", {
    reason: `"${text}" is a ${found.kind}, not a layer`,
    hint: `give it a name as one: delta0 tag ${text} LAYER`,
  });
}

function countChanges({ trees }: Store, before: Tree, after: Tree): number {
  let count = 0;
  for (const _ of diffTrees(trees, before, after)) count++;
  return count;
}

function describeConflict({ path, aspects, base, ours, theirs, changedBelow }: Conflict): ConflictDescription {
  return {
    ...describePath("path", path),
    differs: aspects,
    base: base === undefined ? null : describeNode(base),
    ours: ours === undefined ? null : describeNode(ours),
    theirs: theirs === undefined ? null : describeNode(theirs),
    ...(changedBelow !== undefined && { changedBelow }),
    machineWritten: isMachineWritten(path),
  };
}
