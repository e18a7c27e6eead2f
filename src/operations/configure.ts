import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { StoreError } from "../errors.ts";
import { SETTINGS } from "../containers/settings.ts";
import type { Setting } from "../containers/settings.ts";
import type { Context } from "./context.ts";
import { requireCompressionLevel } from "../model/compression-level.ts";
import { requireDuration } from "../model/duration.ts";
import { requireSize } from "../model/size.ts";
import { parseIdentity } from "./identity.ts";

export interface ConfigureParams {
  /** Default: all. */
  readonly key?: string;
  /** "" for the default. Without it, what is set is told. */
  readonly value?: string;
}

export interface SettingItem {
  readonly key: Setting;
  readonly value: string | null;
  readonly description: string;
}

/** Tells settings, or changes one. @throws {StoreError} USAGE for a key or a value that is none, NOT_FOUND for a missing path */
export async function configure({ store }: Context, { key, value }: ConfigureParams): Promise<SettingItem[]> {
  if (key !== undefined && !isSetting(key))
    throw new StoreError("USAGE", {
      reason: `"${key}" is no setting`,
      hint: `there are: ${Object.keys(SETTINGS).join(", ")}`,
    });
  if (key !== undefined && value !== undefined)
    await store.settings.set(key, value === "" ? undefined : checked(key, value));
  const keys = key === undefined ? (Object.keys(SETTINGS) as Setting[]) : [key];
  return keys.map((key) => ({ key, value: store.settings.find(key) ?? null, description: SETTINGS[key] }));
}

function checked(key: Setting, value: string): string {
  switch (key) {
    case "identity":
      return parseIdentity(value);
    case "exports.grace":
    case "gc.grace":
      return duration(value);
    case "compression.level":
      return String(requireCompressionLevel(value));
    case "limit":
      requireSize(value);
      return value;
    case "lxc.path":
    case "lxc.template":
      return presentPath(value);
  }
}

function duration(value: string): string {
  requireDuration(value);
  return value;
}

/** A relative one would mean another place from another directory. */
function presentPath(value: string): string {
  const path = resolve(value);
  if (!existsSync(path)) throw new StoreError("NOT_FOUND", { what: `there is no ${path}`, hint: "make it first" });
  return path;
}

function isSetting(key: string): key is Setting {
  return Object.hasOwn(SETTINGS, key);
}
