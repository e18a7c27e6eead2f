import { posix } from "node:path";
import { StoreError } from "../errors.ts";
import type { ContainerView } from "../overlay/container-view.ts";
import type { ContainerFile, FilesChanged } from "./change-files.ts";
import { changeFiles, filesOfOne, lastName, placesFor, shownFile } from "./change-files.ts";
import type { Context } from "./context.ts";
import { fileFailure } from "./file-failure.ts";

export interface LinkFilesParams {
  /** What is to have another name, each `NAME:/path` in the container of `path`; of symlinks what they lead to, as text. */
  readonly targets: readonly string[];
  /** `NAME:/path`: a directory for the links, or the name of one. */
  readonly path: string;
  /** Default: hard links. */
  readonly symbolic?: boolean;
  /** Replaces what is there and no directory. Default: false. */
  readonly force?: boolean;
  /** `path` is the name itself, also if a directory has it. Default: false. */
  readonly noTargetDirectory?: boolean;
}

export interface LinkedItem extends ContainerFile {
  readonly target: string;
}

/** ln(1) in a container; a symlink gets another name itself. @throws {StoreError} as `changeFiles` */
export async function linkFiles(context: Context, params: LinkFilesParams): Promise<FilesChanged<LinkedItem>> {
  const { targets, path, symbolic = false, force = false, noTargetDirectory = false } = params;
  const [link, ...existing] = filesOfOne(symbolic ? [path] : [path, ...targets]);
  if (link === undefined || targets.length === 0) throw new StoreError("USAGE", { reason: "nothing to link to" });
  const { items, containers } = await changeFiles(context, [path], async (view) => {
    const leadTo = symbolic ? targets : existing.map((file) => file.path);
    const places = placesFor(view, leadTo.map(lastName), { target: link, noTargetDirectory });
    const made: LinkedItem[] = [];
    for (const [i, target] of leadTo.entries()) {
      const file = { ref: link.ref, path: places[i] ?? link.path };
      await makeLink(view, file, target, { symbolic, force });
      made.push({ ...file, target });
    }
    return made;
  });
  return { items: items.flat(), containers };
}

async function makeLink(
  view: ContainerView,
  file: ContainerFile,
  target: string,
  { symbolic, force }: { readonly symbolic: boolean; readonly force: boolean },
): Promise<void> {
  const { promises } = view;
  if (!symbolic) requireLinkable(view, { ref: file.ref, path: target });
  try {
    const found = force ? view.lstatSync(file.path, { throwIfNoEntry: false }) : undefined;
    if (found !== undefined && !symbolic && found.ino === view.lstatSync(target).ino) return;
    if (found?.isDirectory() === false) await promises.unlink(file.path);
    if (symbolic) await promises.symlink(target, file.path);
    else await promises.link(target, file.path);
  } catch (error) {
    throw fileFailure(error, file);
  }
}

/** @throws {StoreError} NOT_FOUND, USAGE for a directory */
function requireLinkable(view: ContainerView, target: ContainerFile): void {
  try {
    if (!view.lstatSync(target.path).isDirectory()) return;
  } catch (error) {
    throw fileFailure(error, target);
  }
  throw new StoreError("USAGE", {
    reason: `${shownFile(target)} is a directory, which has one name only`,
    hint: `make a symlink: delta0 ln -s ${posix.resolve(target.path)} …`,
  });
}
