import type { Context } from "./context.ts";
import { describeNode, describePath } from "./describe.ts";
import type { NodeDescription } from "./describe.ts";
import { locate } from "./locate.ts";

export interface StatParams {
  /** Each `REF:/path`. */
  readonly paths: readonly string[];
  /** Also a symlink in the last place. Default: false. */
  readonly follow?: boolean;
}

export interface StatItem extends NodeDescription {
  readonly ref: string;
  /** From the ref's root, without symlinks. */
  readonly path: string;
  readonly pathBase64?: string;
  /** Its place in the tree; the same for all names of a hard-linked file. */
  readonly ino: number;
  /** Names of a file; of directories always 1. */
  readonly nlink: number;
}

/** What files are. @throws {StoreError} USAGE for what is no `REF:/path`, NOT_FOUND */
export async function stat(context: Context, { paths, follow = false }: StatParams): Promise<StatItem[]> {
  const items: StatItem[] = [];
  for (const text of paths) {
    const { ref, names, entry } = await locate(context, text, follow);
    items.push({
      ref,
      ...describePath("path", entry.path === "" ? "/" : entry.path),
      ...describeNode(names.node(entry)),
      ino: names.inode(entry),
      nlink: names.links(entry),
    });
  }
  return items;
}
