/** The public API: a store, and the operations on it, one per command. docs/api.md. */
export { StoreError, PosixError, isStoreError } from "./errors.ts";
export type { StoreErrorCode, StoreErrorDetails } from "./errors.ts";
export { Store } from "./store.ts";
export type { OpenOptions, StoreUsage } from "./store.ts";
export { StorePaths } from "./store-paths.ts";
export type { Context, Progress } from "./operations/context.ts";
export { installHooks } from "./operations/lxc-host.ts";
export type { LxcParams } from "./operations/lxc-host.ts";
export type { ChangeDescription, ChangeKind, NodeDescription } from "./operations/describe.ts";
export { capture } from "./operations/capture.ts";
export type { Captured, CaptureParams } from "./operations/capture.ts";
export { cat } from "./operations/cat.ts";
export type { CatParams } from "./operations/cat.ts";
export { chmodFiles } from "./operations/chmod-files.ts";
export type { ChmodFilesParams, ChmodItem } from "./operations/chmod-files.ts";
export { chownFiles } from "./operations/chown-files.ts";
export type { ChownFilesParams, ChownItem } from "./operations/chown-files.ts";
export type { ChangedContainer, ContainerFile, FilesChanged } from "./operations/change-files.ts";
export { clone } from "./operations/clone.ts";
export type { Cloned, CloneParams } from "./operations/clone.ts";
export { commit } from "./operations/commit.ts";
export type { CommitParams, Committed } from "./operations/commit.ts";
export { configure } from "./operations/configure.ts";
export type { ConfigureParams, SettingItem } from "./operations/configure.ts";
export { create } from "./operations/create.ts";
export type { CreateParams } from "./operations/create.ts";
export { doctor } from "./operations/doctor.ts";
export type { Check } from "./operations/doctor.ts";
export { exportTree } from "./operations/export.ts";
export type { Exported, ExportParams } from "./operations/export.ts";
export { postStop, preStart } from "./operations/hooks.ts";
export type { HookParams } from "./operations/hooks.ts";
export { find } from "./operations/find.ts";
export type { FindParams, FoundItem } from "./operations/find.ts";
export { get } from "./operations/get.ts";
export type { GetParams, Got } from "./operations/get.ts";
export { importLayer } from "./operations/import.ts";
export type { Imported, ImportParams } from "./operations/import.ts";
export { info } from "./operations/info.ts";
export type { StoreInfo } from "./operations/info.ts";
export { linkFiles } from "./operations/link-files.ts";
export type { LinkedItem, LinkFilesParams } from "./operations/link-files.ts";
export { list } from "./operations/list.ts";
export type { ListItem, ListParams } from "./operations/list.ts";
export { makeDirectories } from "./operations/make-directories.ts";
export type { MakeDirectoriesParams } from "./operations/make-directories.ts";
export { moveFiles } from "./operations/move-files.ts";
export type { MovedItem, MoveFilesParams } from "./operations/move-files.ts";
export { put } from "./operations/put.ts";
export type { Put, PutParams } from "./operations/put.ts";
export { remove, rename, tag } from "./operations/names.ts";
export type { RemoveParams, RenameParams, TagParams } from "./operations/names.ts";
export { listExports, unexport } from "./operations/shared-exports.ts";
export type { ExportItem, UnexportParams } from "./operations/shared-exports.ts";
export { show } from "./operations/show.ts";
export type { Shown } from "./operations/show.ts";
export { stat } from "./operations/stat.ts";
export type { StatItem, StatParams } from "./operations/stat.ts";
export { status } from "./operations/status.ts";
export type { Status } from "./operations/status.ts";
export { unlinkFiles } from "./operations/unlink-files.ts";
export type { UnlinkFilesParams } from "./operations/unlink-files.ts";
export { getXattr, listXattrs, removeXattr, setXattr } from "./operations/xattrs.ts";
export type {
  GetXattrParams,
  ListXattrsParams,
  RemoveXattrParams,
  SetXattrParams,
  XattrNames,
  XattrValue,
} from "./operations/xattrs.ts";
export type { XattrEncoding } from "./operations/xattr-value.ts";
export { openContainer } from "./operations/open-container.ts";
export type { OpenContainerParams } from "./operations/open-container.ts";
export { openView } from "./operations/view.ts";
export type { ContainerView } from "./overlay/container-view.ts";
export type { Credentials } from "./overlay/credentials.ts";
export type { TreeView } from "./overlay/tree-view.ts";
