import { resolve } from "node:path";
import { asStoreError, StoreError } from "../errors.ts";
import { removeTemplateFile, TEMPLATE_SCRIPT, templateDirectory, writeTemplate } from "../lxc/template-script.ts";
import { isDirectory } from "../sys/is-directory.ts";
import type { Context } from "./context.ts";
import { ensureHooks, ownCommand } from "./lxc-host.ts";

export interface TemplateParams {
  /** Where the script goes. Default: where lxc-create looks for what its -t names. */
  readonly directory?: string;
  /** Everything is checked, and nothing written or removed. */
  readonly dryRun?: boolean;
}

export interface TemplateChanged {
  readonly file: string;
  /** False if it was so already. */
  readonly changed: boolean;
}

/** Writes the script with which lxc-create makes containers of this store: `lxc-create -t delta0`. @throws {StoreError} EXISTS */
export function installTemplate(
  { store }: Context,
  { directory, dryRun = false }: TemplateParams = {},
): TemplateChanged {
  const file = templateFile(directory);
  // With an id map the template runs where it can write none.
  ensureHooks(store, { dryRun });
  const template = { command: ownCommand(), store: store.paths.directory };
  return { file, changed: changing(file, () => writeTemplate(file, template, { dryRun })) };
}

/** Containers that it made stay as they are. @throws {StoreError} EXISTS for a script that delta0 has not written */
export function removeTemplate(_context: Context, { directory, dryRun = false }: TemplateParams = {}): TemplateChanged {
  const file = templateFile(directory);
  return { file, changed: changing(file, () => removeTemplateFile(file, { dryRun })) };
}

function templateFile(given: string | undefined): string {
  const directory = given === undefined ? templateDirectory() : resolve(given);
  if (directory === undefined)
    throw new StoreError("UNSUPPORTED", { what: "LXC is not installed here", hint: "name a directory with --dir" });
  if (isDirectory(directory)) return `${directory}/${TEMPLATE_SCRIPT}`;
  throw new StoreError("NOT_FOUND", { what: `no directory ${directory}`, hint: "name another with --dir" });
}

function changing(file: string, change: () => boolean): boolean {
  try {
    return change();
  } catch (error) {
    throw asStoreError(error, `changing ${file}`);
  }
}
