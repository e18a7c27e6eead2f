import { StoreError } from "../errors.ts";
import type { Setting } from "./config-file.ts";

/** A file or directory of the host that a container sees. */
export interface BindMount {
  /** Absolute. */
  readonly source: string;
  /** In the container, absolute; made there if it is missing. */
  readonly target: string;
  readonly readOnly: boolean;
}

/**
 * @param type of the source
 * @throws {StoreError} USAGE for the container's root as target
 */
export function bindMountSetting({ source, target, readOnly }: BindMount, type: "dir" | "file"): Setting {
  const below = target.replace(/^\/+/, "");
  if (below === "") throw new StoreError("USAGE", { reason: `${source} cannot be mounted over the container's root` });
  const options = ["rbind", `create=${type}`, ...(readOnly ? ["ro"] : [])].join(",");
  return { key: "lxc.mount.entry", value: `${fstabWord(source)} ${fstabWord(below)} none ${options} 0 0` };
}

/** As getmntent(3) reads it. */
function fstabWord(path: string): string {
  return path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
}
