import type { Dialect } from "../format/overlay-xattrs.ts";
import { shiftedOut } from "../format/shift-ids.ts";
import type { FrameReader } from "../format/chunk-value.ts";
import type { Change } from "../model/change.ts";
import type { IdMap } from "../model/id-map.ts";
import { TreeWriter } from "./tree-writer.ts";
import type { TreeWriterOptions } from "./tree-writer.ts";
import type { Written } from "./written.ts";

export interface WriteOptions extends TreeWriterOptions {
  /**
   * Owners, devices, `trusted.*` and `security.*` attributes are left out, and do not count as losses. Set-id bits go
   * with the owner they were meant for.
   */
  readonly asUser?: boolean | undefined;
  /** The directory will be a lower of overlay mounts of this dialect: what would be a mark there is escaped or left out. */
  readonly lower?: Dialect | undefined;
  /** The ids of the tree are those inside, on disk are those of the host. */
  readonly idMap?: IdMap | null | undefined;
}

/**
 * Writes a tree as a real directory, with all its metadata. What it cannot keep it tallies, and goes on.
 *
 * A whole file is never in memory. When it fails, what it made is left to the caller, as is making it safe from a power
 * cut.
 *
 * @param target  made anew; its parent exists
 * @param changes the whole tree in canonical order, the root first
 * @throws {StoreError} EXISTS, NOT_PERMITTED, NO_SPACE; what `content` throws; the reason of `signal`
 */
export async function writeDirectory(
  target: string,
  changes: Iterable<Change>,
  content: FrameReader,
  options: WriteOptions = {},
): Promise<Written> {
  const { asUser = false, lower, idMap } = options;
  await using writer = TreeWriter.make(target, content, { asUser, overlay: lower }, options);
  for (const { path, after, link } of idMap ? shiftedOut(changes, idMap, writer.lose) : changes) {
    if (after === undefined) throw new Error(`${path} is removed from nothing`);
    await writer.put(path, after, link);
  }
  return await writer.finish();
}
