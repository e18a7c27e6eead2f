import { existsSync, lstatSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { extname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { ContainerRef } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import { partsOfKey } from "../exports/export-key.ts";
import type { ExportStack } from "../exports/export-stack.ts";
import type { Dialect } from "../format/overlay-xattrs.ts";
import { getValues, parseConfig, parseSetting } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { hooksFile, writeHooks } from "../lxc/hooks.ts";
import { defaultLxcPath } from "../lxc/lxc-programs.ts";
import { formatRootfsPath } from "../lxc/rootfs-path.ts";
import { containerConfig } from "../lxc/template.ts";
import { isDirectory } from "../sys/is-directory.ts";
import type { Store } from "../store.ts";

/** Whether and how containers get LXC directories. */
export interface LxcParams {
  /** Where; default: the store's setting, else what LXC says, else nowhere. */
  readonly lxcPath?: string;
  /** Nowhere. */
  readonly noLxc?: boolean;
  /** A config file over the template. */
  readonly config?: string;
  /** `KEY=VALUE` each, over all that. */
  readonly settings?: readonly string[];
  /** The id map of an unprivileged container, as `parseIdMap` takes it; empty: none. Default: the config's, else the original's. */
  readonly idMap?: readonly string[];
}

/** @throws {StoreError} NOT_FOUND if the path is no directory, USAGE if keys are given and there is no LXC path */
export function lxcPathFor(store: Store, params: LxcParams): string | null {
  if (params.noLxc === true) return null;
  const given = params.lxcPath ?? store.settings.find("lxc.path") ?? defaultLxcPath();
  if (given === undefined) {
    if (params.config === undefined && params.settings === undefined) return null;
    throw new StoreError("USAGE", {
      reason: "LXC settings, but no LXC path: LXC is not installed here",
      hint: "name one with --lxcpath",
    });
  }
  const path = resolve(given);
  if (!isDirectory(path))
    throw new StoreError("NOT_FOUND", {
      what: `no directory ${path} for LXC containers`,
      hint: "make it first, or do without: --no-lxc",
    });
  return path;
}

/** Writes the hooks that containers' configs take in, where they are not as they should be. @returns as `writeHooks` */
export function ensureHooks(store: Store, options: { readonly dryRun?: boolean } = {}): readonly string[] {
  return writeHooks(store.paths, ownCommand(), options);
}

/** What starts this delta0 from anywhere: with absolute paths, since hooks run in "/". */
export function ownCommand(): string[] {
  const isBuilt = extname(fileURLToPath(import.meta.url)) !== ".ts";
  const main = fileURLToPath(new URL(`../cli/main.${isBuilt ? "cjs" : "ts"}`, import.meta.url));
  // From a checkout that is not built, Node needs its loader for TypeScript.
  return isBuilt
    ? [process.execPath, main]
    : [process.execPath, "--import", createRequire(import.meta.url).resolve("tsx"), main];
}

/** @throws {StoreError} EXISTS if there is anything where a container's directory would be */
export function requireFreeDirectory(lxcPath: string, name: string): void {
  const directory = `${lxcPath}/${name}`;
  if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) return;
  throw new StoreError("EXISTS", { what: `${directory} exists`, hint: "choose another name, or move it away" });
}

export function directoryOf(name: string, { lxcPath }: ContainerRef): string | undefined {
  return lxcPath === null ? undefined : `${lxcPath}/${name}`;
}

/** The `lxc.rootfs.path` of a container that stands on these exports. */
export function rootfsFor(store: Store, lxcPath: string, name: string, stack: ExportStack): string {
  const rootfs = { lowers: store.exports.pathsOf(stack), upper: `${lxcPath}/${name}/delta0` };
  return formatRootfsPath(rootfs, partsOfKey(stack[0]).map === undefined ? undefined : "userxattr");
}

/** The config of a container that is made, and not cloned from another with one. */
export function newConfig(store: Store, name: string, rootfs: string, params: LxcParams): ConfigFile {
  return containerConfig({
    name,
    rootfs,
    hooksFile: hooksFile(store.paths),
    template: templateConfig(store, params),
    settings: (params.settings ?? []).map(parseSetting),
  });
}

/** What of new containers' configs is the user's: the file that is given, else that of the setting. @throws {StoreError} NOT_FOUND */
export function templateConfig(store: Store, params: LxcParams): ConfigFile | undefined {
  const file = params.config ?? store.settings.find("lxc.template");
  return file === undefined ? undefined : readTemplate(file);
}

/** How the kernel marks what the container deletes. */
export function dialectOf(config: ConfigFile): Dialect {
  const options = getValues(config, "lxc.rootfs.options").flatMap((value) => value.split(","));
  return options.includes("userxattr") ? "user" : "trusted";
}

function readTemplate(file: string): ConfigFile {
  if (!existsSync(file)) throw new StoreError("NOT_FOUND", { what: `no config file ${file}` });
  return parseConfig(readFileSync(file));
}
