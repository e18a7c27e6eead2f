import { Pending } from "../overlay/pending.ts";
import type { ContainerFile, FilesChanged } from "./change-files.ts";
import { below, changeFiles } from "./change-files.ts";
import type { Context } from "./context.ts";
import { findOwner } from "./owners.ts";

export interface ChownFilesParams {
  /** Each `NAME:/path`. */
  readonly paths: readonly string[];
  /** `USER`, `USER:GROUP`, `:GROUP`, or `USER:` for that user's own group. Names are those of the container. */
  readonly owner: string;
  /** All below directories too; then no symlink is followed. Default: false. */
  readonly recursive?: boolean;
  /** Of a symlink itself. Default: false. */
  readonly noDereference?: boolean;
}

export interface ChownItem extends ContainerFile {
  readonly uid: number;
  readonly gid: number;
}

/** chown(1) in containers. @throws {StoreError} as `changeFiles`; NOT_FOUND for a user or group that the container has not */
export async function chownFiles(
  context: Context,
  { paths, owner, recursive = false, noDereference = false }: ChownFilesParams,
): Promise<FilesChanged<ChownItem>> {
  return await changeFiles(context, paths, async (view, file) => {
    const { uid, gid } = findOwner(view, file.ref, owner);
    const { chown, lchown } = view.promises;
    const follow = !recursive && !noDereference;
    await (follow ? chown : lchown)(file.path, uid, gid);
    const stats = follow ? view.statSync(file.path) : view.lstatSync(file.path);
    if (recursive && stats.isDirectory()) {
      const pending = new Pending();
      for (const { path } of below(view, Buffer.from(file.path))) {
        context.signal?.throwIfAborted();
        await pending.add(lchown(path, uid, gid));
      }
      await pending.settle();
    }
    return { ...file, uid: stats.uid, gid: stats.gid };
  });
}
