import { lstatSync, readdirSync, readFileSync } from "node:fs";
import type { KeptFile } from "../containers/records.ts";
import { errnoOf } from "../errors.ts";
import { parseConfig } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { byteString } from "../model/name.ts";

/**
 * What of a container's LXC directory can be made anew from nothing else, for the history: its config, and the small files beside it,
 * such as an fstab that the config names.
 *
 * @returns none if it is not there
 */
export function keepFiles(directory: string): KeptFile[] {
  return namesIn(directory).flatMap((bytes) => {
    const name = byteString(bytes);
    const path = Buffer.concat([Buffer.from(`${directory}/`), bytes]);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (name === "pending" || stat?.isFile() !== true) return [];
    if (name !== "config" && stat.size > MOST_BYTES) return [];
    return [{ name, mode: stat.mode & 0o7777, bytes: readFileSync(path) }];
  });
}

/** The config among them. */
export function keptConfig(files: readonly KeptFile[]): ConfigFile | undefined {
  const config = files.find(({ name }) => name === "config");
  return config && parseConfig(config.bytes);
}

/** Logs grow without bound, and nobody misses them. */
const MOST_BYTES = 64 << 10;

function namesIn(directory: string): Buffer[] {
  try {
    return readdirSync(directory, { encoding: "buffer" });
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
