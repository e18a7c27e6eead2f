import type { FrameReader } from "../format/chunk-value.ts";
import type { Change } from "../model/change.ts";
import type { Dialect } from "../format/overlay-xattrs.ts";
import { shiftedOut } from "../format/shift-ids.ts";
import type { IdMap } from "../model/id-map.ts";
import { TreeWriter } from "./tree-writer.ts";
import type { TreeWriterOptions } from "./tree-writer.ts";
import type { Written } from "./written.ts";

export interface DeltaOptions extends TreeWriterOptions {
  /** Of the overlay mounts it is for: `trusted` unless they have the option `userxattr`. */
  readonly dialect?: Dialect | undefined;
  /** As in `WriteOptions`. */
  readonly idMap?: IdMap | null | undefined;
}

/**
 * Writes the difference of two trees as a delta directory, which overlayfs shows over the `before` tree as the `after`
 * tree, whether it stands on top of the lowers or is the upper.
 *
 * Removed names become whiteouts. No directory is ever opaque: each removed entry is a change of its own, so a directory
 * that was removed and made again merges entry by entry; and over what was no directory there is nothing to merge with.
 *
 * @param changes in canonical order, the root first, even if nothing changed. Each directory above a change comes before it as a change of its
 *                own, with `before` = `after` where it did not itself change; else as in `writeDirectory`
 */
export async function writeDelta(
  target: string,
  changes: Iterable<Change>,
  content: FrameReader,
  options: DeltaOptions = {},
): Promise<Written> {
  const rules = { asUser: false, overlay: options.dialect ?? "trusted" };
  await using writer = TreeWriter.make(target, content, rules, options);
  const { idMap } = options;
  for (const { path, before, after, link } of idMap ? shiftedOut(changes, idMap, writer.lose) : changes) {
    const made = after !== undefined && (await writer.put(path, after, link));
    // Where a loss leaves a gap, what was there before must not show.
    if (!made && before !== undefined) await writer.hide(path);
  }
  return await writer.finish();
}
