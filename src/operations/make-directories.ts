import { posix } from "node:path";
import { processUmask } from "../sys/umask.ts";
import type { ContainerFile, FilesChanged } from "./change-files.ts";
import { changeFiles, isDirectory } from "./change-files.ts";
import type { Context } from "./context.ts";
import { parseMode } from "./file-mode.ts";

export interface MakeDirectoriesParams {
  /** Each `NAME:/path`. */
  readonly paths: readonly string[];
  /** Those above too; what is a directory already is left as it is. Default: false. */
  readonly parents?: boolean;
  /** As chmod takes it, of rwx for all. Default: rwx for all without the umask. */
  readonly mode?: string;
}

/** mkdir(1) in containers. @throws {StoreError} as `changeFiles` */
export async function makeDirectories(
  context: Context,
  { paths, parents = false, mode }: MakeDirectoriesParams,
): Promise<FilesChanged<ContainerFile>> {
  const change = mode === undefined ? undefined : parseMode(mode);
  const umask = processUmask();
  return await changeFiles(context, paths, async (view, file) => {
    const { promises } = view;
    const { path } = file;
    if (parents) {
      if (isDirectory(view, path)) return file;
      await promises.mkdir(posix.dirname(path), { recursive: true });
    }
    await promises.mkdir(path);
    if (change !== undefined) {
      // Set-id bits that it has from the directory above.
      const inherited = (await promises.stat(path)).mode & 0o7000;
      await promises.chmod(path, change({ mode: inherited | 0o777, isDirectory: true, umask }));
    }
    return file;
  });
}
