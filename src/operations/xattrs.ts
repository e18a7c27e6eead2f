import { StoreError } from "../errors.ts";
import { TreeView } from "../overlay/tree-view.ts";
import type { ContainerFile, FilesChanged } from "./change-files.ts";
import { changeFiles } from "./change-files.ts";
import type { Context } from "./context.ts";
import { fileFailure } from "./file-failure.ts";
import { parseFileRef } from "./locate.ts";
import { settledRef } from "./settle.ts";
import { parseXattrValue, xattrValueText } from "./xattr-value.ts";
import type { XattrEncoding } from "./xattr-value.ts";

export interface ListXattrsParams {
  /** Each `REF:/path`; of what changes something, `NAME:/path`. */
  readonly paths: readonly string[];
  /** Of a symlink itself. Default: false. */
  readonly noDereference?: boolean;
}

export interface GetXattrParams extends ListXattrsParams {
  /** With its prefix: "user.note". */
  readonly attribute: string;
  /** Default: text where it is some, else base64. */
  readonly encoding?: XattrEncoding;
}

export interface SetXattrParams extends ListXattrsParams {
  readonly attribute: string;
  /** As setfattr takes it: text, text in quotes with escapes, 0x and hex digits, 0s and base64. */
  readonly value: string;
}

export interface RemoveXattrParams extends ListXattrsParams {
  readonly attribute: string;
}

export interface XattrNames extends ContainerFile {
  readonly attributes: readonly string[];
}

export interface XattrValue extends ContainerFile {
  /** In the form that `SetXattrParams.value` has. */
  readonly value: string;
  readonly valueBase64: string;
}

/** The names of files' extended attributes, in any ref. @throws {StoreError} NOT_FOUND, USAGE */
export async function listXattrs(
  context: Context,
  { paths, noDereference = false }: ListXattrsParams,
): Promise<XattrNames[]> {
  return await look(context, paths, (view, file) => {
    const attributes = noDereference ? view.llistxattrSync(file.path) : view.listxattrSync(file.path);
    return { ...file, attributes };
  });
}

/** One extended attribute of files, in any ref. @throws {StoreError} NOT_FOUND if one of them has no such attribute; USAGE */
export async function getXattr(context: Context, params: GetXattrParams): Promise<XattrValue[]> {
  const { paths, attribute, encoding, noDereference = false } = params;
  requireAttribute(attribute);
  return await look(context, paths, (view, file) => {
    const read = noDereference ? view.lgetxattrSync : view.getxattrSync;
    const value = read(file.path, attribute);
    return { ...file, value: xattrValueText(value, encoding), valueBase64: value.toString("base64") };
  });
}

/** setfattr(1) in containers. @throws {StoreError} as `changeFiles` */
export async function setXattr(context: Context, params: SetXattrParams): Promise<FilesChanged<ContainerFile>> {
  const { paths, attribute, noDereference = false } = params;
  requireAttribute(attribute);
  const value = parseXattrValue(params.value);
  return await changeFiles(context, paths, async ({ promises }, file) => {
    const set = noDereference ? promises.lsetxattr : promises.setxattr;
    await set(file.path, attribute, value);
    return file;
  });
}

/** @throws {StoreError} as `changeFiles`; NOT_FOUND if one of the files has no such attribute */
export async function removeXattr(context: Context, params: RemoveXattrParams): Promise<FilesChanged<ContainerFile>> {
  const { paths, attribute, noDereference = false } = params;
  requireAttribute(attribute);
  return await changeFiles(context, paths, async ({ promises }, file) => {
    const remove = noDereference ? promises.lremovexattr : promises.removexattr;
    await remove(file.path, attribute);
    return file;
  });
}

/** A name without a prefix is one that somebody forgot. */
function requireAttribute(name: string): void {
  if (/^(user|trusted|security|system)\.[^\0]/.test(name)) return;
  throw new StoreError("USAGE", {
    reason: `"${name}" is no attribute's name`,
    hint: "it begins with user., trusted., security. or system.",
  });
}

async function look<T>(
  context: Context,
  paths: readonly string[],
  read: (view: TreeView, file: ContainerFile) => T,
): Promise<T[]> {
  const { lowers, blocks } = context.store;
  const items: T[] = [];
  for (const file of paths.map(parseFileRef)) {
    const { tree } = await settledRef(context, file.ref);
    try {
      items.push(read(TreeView.of(lowers.get(tree), blocks), file));
    } catch (error) {
      throw fileFailure(error, file);
    }
  }
  return items;
}
