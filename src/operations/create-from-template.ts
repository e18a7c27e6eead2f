import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname } from "node:path";
import { byteStringOf } from "../model/name.ts";
import {
  getValue,
  parseConfig,
  readConfig,
  removeSettings,
  settingsOf,
  setValue,
  writeConfig,
} from "../lxc/config-file.ts";
import type { Setting } from "../lxc/config-file.ts";
import { parseRootfsPath } from "../lxc/rootfs-path.ts";
import { findTemplate, runTemplate } from "../lxc/run-template.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import type { Cloned } from "./clone.ts";
import { requireRoom } from "./room.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { makeCreated } from "./create.ts";
import type { CreateParams } from "./create.ts";
import { sweepNames } from "./ephemeral.ts";
import { lxcPathFor, requireFreeDirectory, templateConfig } from "./lxc-host.ts";
import { requireFree } from "./references.ts";
import { readSource } from "./source.ts";

export interface CreateFromTemplateParams extends Omit<CreateParams, "source"> {
  /** One of lxc-create's, by its name, or the absolute path of a script. */
  readonly template: string;
  /** For the template. */
  readonly args?: readonly string[];
}

/**
 * Makes a container of what an LXC template makes, in a directory of its own that is gone afterwards. The template's config is the
 * container's, over our defaults.
 *
 * @throws {StoreError} NOT_FOUND, EXISTS, PROGRAM_FAILED with what the template said
 */
export async function createFromTemplate(context: Context, params: CreateFromTemplateParams): Promise<Cloned> {
  using _operation = context.store.begin();
  await requireRoom(context);
  const { store, signal, onProgress } = context;
  const { template, args = [], name } = params;
  const script = findTemplate(template);
  await sweepNames(context, [name]);
  requireFree(store, name);
  const lxcPath = lxcPathFor(store, params);
  if (lxcPath !== null) requireFreeDirectory(lxcPath, name);
  const parent = mkdtempSync(`${tmpdir()}/delta0-`);
  try {
    const path = `${parent}/${name}`;
    const [rootfs, config] = [`${path}/rootfs`, `${path}/config`];
    mkdirSync(rootfs, { recursive: true });
    const given = templateConfig(store, params) ?? parseConfig("");
    writeConfig(config, setValue(given, "lxc.rootfs.path", `dir:${rootfs}`));
    const onOutput = (): void => onProgress?.({ phase: `running ${basename(script)}`, entries: 0, bytes: 0 });
    await runTemplate(script, { path, name, rootfs, args, signal, onOutput });
    const made = readConfig(config);
    const root = parseRootfsPath(getValue(made, "lxc.rootfs.path") ?? "");
    // It may have had its own idea of where that is.
    const source = root.type === "directory" ? root.path : rootfs;
    const isGone = ({ value }: Setting): boolean => value.includes(path);
    for (const { key, value } of settingsOf(made).filter(isGone))
      if (key !== "lxc.rootfs.path")
        warn(context, `left out of its config, since it is of the template: ${key} = ${value}`);
    writeConfig(config, removeSettings(made, isGone));
    const tree = await readSource(context, { ...params, source });
    return await makeCreated(context, { ...params, config }, tree, `template ${template}`);
  } finally {
    using handle = DirectoryHandle.open(dirname(parent));
    handle.removeTree(byteStringOf(basename(parent)));
  }
}
