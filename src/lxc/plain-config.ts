import { type ConfigFile, getValue, removeSettings, setValue } from "./config-file.ts";

/** The config of a container that stands on a directory of its own: without our hooks, and what overlays alone are mounted with. */
export function plainConfig(config: ConfigFile, hooksFile: string): ConfigFile {
  const changed = removeSettings(config, ({ key, value }) => key === "lxc.include" && value === hooksFile);
  const options = (getValue(changed, ROOTFS_OPTIONS) ?? "").split(",").filter((option) => option !== "");
  const kept = options.filter((option) => !OF_OVERLAYS.test(option));
  if (kept.length === options.length) return changed;
  return kept.length > 0
    ? setValue(changed, ROOTFS_OPTIONS, kept.join(","))
    : removeSettings(changed, ({ key }) => key === ROOTFS_OPTIONS);
}

const ROOTFS_OPTIONS = "lxc.rootfs.options";
/** Source: Linux, fs/overlayfs/params.c. */
const OF_OVERLAYS =
  /^(userxattr|volatile|default_permissions|(index|metacopy|redirect_dir|xino|uuid|nfs_export|verity|fsync)(=.*)?)$/;
