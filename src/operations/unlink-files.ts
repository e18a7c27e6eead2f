import { StoreError } from "../errors.ts";
import type { ContainerFile, FilesChanged } from "./change-files.ts";
import { changeFiles, shownFile } from "./change-files.ts";
import type { Context } from "./context.ts";

export interface UnlinkFilesParams {
  /** Each `NAME:/path`. */
  readonly paths: readonly string[];
  /** Directories too, with all that is in them. Default: false. */
  readonly recursive?: boolean;
  /** What is not there need not be removed. Default: false. */
  readonly force?: boolean;
}

/** rm(1) in containers. @throws {StoreError} as `changeFiles`; REFUSED for a directory without `recursive` */
export async function unlinkFiles(
  context: Context,
  { paths, recursive = false, force = false }: UnlinkFilesParams,
): Promise<FilesChanged<ContainerFile>> {
  return await changeFiles(context, paths, async (view, file) => {
    const { path } = file;
    const found = view.lstatSync(path, { throwIfNoEntry: !force });
    if (found?.isDirectory() === true && !recursive)
      throw new StoreError("REFUSED", {
        reason: `${shownFile(file)} is a directory`,
        hint: "-r removes it with all that is in it",
      });
    if (found?.isDirectory() === true) await view.promises.rm(path, { recursive });
    else if (found !== undefined) await view.promises.unlink(path);
    return file;
  });
}
