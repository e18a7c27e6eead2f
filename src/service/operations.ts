import type { Context } from "../operations/context.ts";

/** The operations by name, each with the module that it is in, which is loaded when it is first called. */
const MODULES = {
  adopt: () => import("../operations/adopt.ts"),
  backup: () => import("../operations/backup.ts"),
  beginRun: () => import("../operations/run.ts"),
  blame: () => import("../operations/blame.ts"),
  capture: () => import("../operations/capture.ts"),
  captureEnded: () => import("../operations/stop.ts"),
  cat: () => import("../operations/cat.ts"),
  chmodFiles: () => import("../operations/chmod-files.ts"),
  chownFiles: () => import("../operations/chown-files.ts"),
  clone: () => import("../operations/clone.ts"),
  commit: () => import("../operations/commit.ts"),
  configure: () => import("../operations/configure.ts"),
  copy: () => import("../operations/copy.ts"),
  create: () => import("../operations/create.ts"),
  createFromTemplate: () => import("../operations/create-from-template.ts"),
  diff: () => import("../operations/diff.ts"),
  diffPackages: () => import("../operations/diff-packages.ts"),
  du: () => import("../operations/du.ts"),
  duBy: () => import("../operations/du-by.ts"),
  duIfRemoved: () => import("../operations/du.ts"),
  endRun: () => import("../operations/run.ts"),
  exportTree: () => import("../operations/export.ts"),
  find: () => import("../operations/find.ts"),
  findRunnables: () => import("../operations/running.ts"),
  fsck: () => import("../operations/fsck-repair.ts"),
  gc: () => import("../operations/gc.ts"),
  get: () => import("../operations/get.ts"),
  getXattr: () => import("../operations/xattrs.ts"),
  identity: () => import("../operations/identity.ts"),
  importLayer: () => import("../operations/import.ts"),
  info: () => import("../operations/info.ts"),
  installHooks: () => import("../operations/lxc-hooks.ts"),
  installTemplate: () => import("../operations/lxc-template.ts"),
  lineageTree: () => import("../operations/lineage-tree.ts"),
  linkFiles: () => import("../operations/link-files.ts"),
  list: () => import("../operations/list.ts"),
  listExports: () => import("../operations/shared-exports.ts"),
  listSnapshots: () => import("../operations/snapshot.ts"),
  listXattrs: () => import("../operations/xattrs.ts"),
  log: () => import("../operations/log.ts"),
  lxcConfig: () => import("../operations/lxc-config.ts"),
  lxcCreate: () => import("../operations/lxc-create.ts"),
  makeDirectories: () => import("../operations/make-directories.ts"),
  moveFiles: () => import("../operations/move-files.ts"),
  pin: () => import("../operations/retain.ts"),
  postStop: () => import("../operations/hooks.ts"),
  prepareStart: () => import("../operations/start.ts"),
  preStart: () => import("../operations/hooks.ts"),
  put: () => import("../operations/put.ts"),
  putAway: () => import("../operations/put-away.ts"),
  rebase: () => import("../operations/rebase.ts"),
  receive: () => import("../operations/receive.ts"),
  reflog: () => import("../operations/reflog.ts"),
  remove: () => import("../operations/names.ts"),
  removeHooks: () => import("../operations/lxc-hooks.ts"),
  removeTemplate: () => import("../operations/lxc-template.ts"),
  removeXattr: () => import("../operations/xattrs.ts"),
  rename: () => import("../operations/names.ts"),
  repairContainer: () => import("../operations/lxc-repair.ts"),
  repairExports: () => import("../operations/shared-exports.ts"),
  reset: () => import("../operations/rollback.ts"),
  restore: () => import("../operations/restore.ts"),
  retain: () => import("../operations/retain.ts"),
  rollback: () => import("../operations/rollback.ts"),
  send: () => import("../operations/send.ts"),
  setXattr: () => import("../operations/xattrs.ts"),
  show: () => import("../operations/show.ts"),
  snapshot: () => import("../operations/snapshot.ts"),
  squash: () => import("../operations/squash.ts"),
  stat: () => import("../operations/stat.ts"),
  statesBetween: () => import("../operations/bisect.ts"),
  status: () => import("../operations/status.ts"),
  tag: () => import("../operations/names.ts"),
  undo: () => import("../operations/undo.ts"),
  unexport: () => import("../operations/shared-exports.ts"),
  unlinkFiles: () => import("../operations/unlink-files.ts"),
  warmExport: () => import("../operations/warm-export.ts"),
  whohas: () => import("../operations/whohas.ts"),
  why: () => import("../operations/why.ts"),
  writePatch: () => import("../operations/diff.ts"),
};

type Modules = typeof MODULES;
type Operation<N extends OperationName> =
  Awaited<ReturnType<Modules[N]>> extends Readonly<Record<N, infer F>> ? F : never;

export type OperationName = keyof Modules;

/** A context without the store: what a caller has, wherever the store is open. */
export type Caller = Omit<Context, "store">;

/** The operations as they are called. */
export type Api = {
  readonly [N in OperationName]: Operation<N> extends (context: Context, ...params: infer P) => infer R
    ? (caller: Caller, ...params: P) => Promise<Awaited<R>>
    : never;
};

/** The operations as steps: `Step`. */
export type Steps = {
  readonly [N in OperationName]: Api[N] extends (caller: Caller, ...params: infer P) => infer R
    ? (...params: P) => R
    : never;
};

type AnyOperation = (context: Context, params: unknown) => unknown;

/** @throws {Error} if there is none of that name */
export async function loadOperation(name: string): Promise<AnyOperation> {
  const modules: Readonly<Record<string, () => Promise<object>>> = MODULES;
  const load = Object.hasOwn(modules, name) ? modules[name] : undefined;
  const operation = load && ((await load()) as Readonly<Record<string, unknown>>)[name];
  if (typeof operation !== "function") throw new Error(`there is no operation ${name}`);
  return operation as AnyOperation;
}

/** @param call does what is called */
export function apiOf(call: (name: OperationName, caller: Caller, params: unknown) => Promise<unknown>): Api {
  return byName((name) => (caller: Caller, params: unknown) => call(name, caller, params)) as unknown as Api;
}

/** @param call does what is called */
export function stepsOf(call: (name: OperationName, params: unknown) => Promise<unknown>): Steps {
  return byName((name) => (params: unknown) => call(name, params)) as unknown as Steps;
}

function byName<T>(make: (name: OperationName) => T): Record<string, T> {
  return Object.fromEntries((Object.keys(MODULES) as OperationName[]).map((name) => [name, make(name)]));
}
