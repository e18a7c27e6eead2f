import type { Context } from "./context.ts";
import { describeDifference, describePath } from "./describe.ts";
import type { ChangeDescription } from "./describe.ts";
import { totalsOfChanges } from "./change-totals.ts";
import type { ChangeTotals } from "./change-totals.ts";
import { differencesOf } from "./differences.ts";
import type { DiffOptions } from "./differences.ts";
import { patchesOf } from "./patch.ts";
import { openSides } from "./sides.ts";
import type { SideDescription, Sides } from "./sides.ts";

/** What is compared: two of a layer, a container, `NAME@SNAPSHOT`, a digest, and `dir:/path`, a directory of the host. */
export interface Compared {
  readonly a: string;
  /** Default: `a`, and its parent stands for `a`: a layer's, or what a container stands on. */
  readonly b?: string;
}

export interface DiffParams extends DiffOptions, Compared {
  /** Each change has its `patch`. No whole directories are renamed then: a patch is one of files. */
  readonly patch?: boolean;
}

export interface Diff {
  readonly a: SideDescription;
  readonly b: SideDescription;
  readonly changes: readonly (ChangeDescription & PatchText)[];
  readonly totals: ChangeTotals;
}

export interface PatchText {
  /** As git has it, with lines that begin with "#" for what git knows nothing of. */
  readonly patch?: string;
  /** If it is not UTF-8. */
  readonly patchBase64?: string;
}

/**
 * What differs from `a` to `b`, in canonical order. Of two refs it costs what differs; a directory is read whole.
 *
 * @throws {StoreError} NOT_FOUND, USAGE; SOURCE_INVALID if a directory changes while it is read
 */
export async function diff(context: Context, params: DiffParams): Promise<Diff> {
  const sides = await openSides(context, params.a, params.b);
  const { before, after, trees } = sides;
  const [a, b] = [before.description, after.description];
  if (after.tree === undefined) throw new Error("nothing is compared with something, never the other way");
  if (params.patch !== true) {
    const differences = differencesOf(trees, before.tree, after.tree, params);
    const changes = differences.map((difference) => describeDifference(trees, before.tree, difference));
    return { a, b, changes, totals: totalsOfChanges(changes) };
  }
  const changes: (ChangeDescription & PatchText)[] = [];
  for await (const { difference, text } of patchesOf(sides, params))
    changes.push({ ...describeDifference(trees, before.tree, difference), ...describePath("patch", text) });
  return { a, b, changes, totals: totalsOfChanges(changes) };
}

/**
 * Writes what differs to `Context.output`, as a patch that `git apply` takes where it is one of text. Bytes of one file at a
 * time are in memory.
 *
 * @returns whether anything differs
 */
export async function writePatch(context: Context, params: DiffOptions & Compared): Promise<boolean> {
  const sides: Sides = await openSides(context, params.a, params.b);
  let differs = false;
  for await (const { text } of patchesOf(sides, params)) {
    context.signal?.throwIfAborted();
    differs = true;
    await context.output?.(Buffer.from(text, "latin1"));
  }
  return differs;
}
