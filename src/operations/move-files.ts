import { posix } from "node:path";
import { errnoOf, StoreError } from "../errors.ts";
import type { ContainerView } from "../overlay/container-view.ts";
import type { ContainerFile, FilesChanged } from "./change-files.ts";
import { changeFiles, filesOfOne, lastName, placesFor, shownFile } from "./change-files.ts";
import type { Context } from "./context.ts";
import { fileFailure } from "./file-failure.ts";

export interface MoveFilesParams {
  /** Each `NAME:/path`, all in one container. */
  readonly paths: readonly string[];
  /** `NAME:/path` in the same: a directory for them, or a new name for one. */
  readonly target: string;
  /** Nothing that is there is replaced. Default: false. */
  readonly noClobber?: boolean;
  /** The target is the name itself, also if a directory has it. Default: false. */
  readonly noTargetDirectory?: boolean;
}

export interface MovedItem extends ContainerFile {
  /** Where it is now. */
  readonly to: string;
}

/**
 * mv(1) in a container. What it costs does not depend on what is in a directory that moves.
 *
 * @throws {StoreError} as `changeFiles`; EXISTS for what cannot be replaced, or with `noClobber` for anything that is there
 */
export async function moveFiles(context: Context, params: MoveFilesParams): Promise<FilesChanged<MovedItem>> {
  const { paths, target, noClobber = false, noTargetDirectory = false } = params;
  const files = filesOfOne([...paths, target]);
  const last = files.at(-1);
  if (last === undefined || paths.length === 0) throw new StoreError("USAGE", { reason: "nothing to move" });
  let places: string[] | undefined;
  let next = 0;
  return await changeFiles(context, paths, async (view, file) => {
    places ??= placesFor(
      view,
      files.slice(0, -1).map(({ path }) => lastName(path)),
      { target: last, noTargetDirectory },
    );
    const to = places[next++] ?? last.path;
    await move(view, file, { ref: file.ref, path: to }, noClobber);
    return { ...file, to };
  });
}

async function move(view: ContainerView, from: ContainerFile, to: ContainerFile, noClobber: boolean): Promise<void> {
  const moved = view.lstatSync(from.path);
  const replaced = lookAt(view, to);
  if (replaced !== undefined && noClobber) throw exists(to, "exists");
  if (replaced?.ino === moved.ino) {
    if (view.realpathSync(posix.dirname(from.path)) === view.realpathSync(posix.dirname(to.path)))
      if (lastName(from.path) === lastName(to.path))
        throw new StoreError("USAGE", { reason: `${shownFile(from)} and ${shownFile(to)} are the same` });
    // Two names of one file, which rename(2) leaves as they are.
    await view.promises.unlink(from.path);
    return;
  }
  if (replaced !== undefined && replaced.isDirectory() !== moved.isDirectory())
    throw exists(to, replaced.isDirectory() ? "is a directory" : "is there, and is no directory");
  try {
    await view.promises.rename(from.path, to.path);
  } catch (error) {
    if (errnoOf(error) === "EINVAL")
      throw new StoreError("USAGE", { reason: `${shownFile(from)} cannot go into itself` }, { cause: error });
    throw fileFailure(error, errnoOf(error) === "EBUSY" ? from : to);
  }
}

/** @returns undefined if nothing is there; whether it can be made is up to the call that makes it */
function lookAt(view: ContainerView, file: ContainerFile): ReturnType<ContainerView["lstatSync"]> | undefined {
  try {
    return view.lstatSync(file.path, { throwIfNoEntry: false });
  } catch (error) {
    throw fileFailure(error, file);
  }
}

function exists(file: ContainerFile, reason: string): StoreError {
  return new StoreError("EXISTS", { what: `${shownFile(file)} ${reason}` });
}
