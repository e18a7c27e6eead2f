import { appendValue, type ConfigFile, getValue, getValues, removeSettings, setValue } from "./config-file.ts";
import { modernConfig } from "./legacy-config.ts";

/**
 * The config that an adopted container goes on with: its own, in the words of today's LXC, on an overlay of ours.
 *
 * @param hooksFile as for `containerConfig`
 * @throws {StoreError} USAGE if no config can hold the new path
 */
export function adoptedConfig(config: ConfigFile, rootfs: string, hooksFile: string): ConfigFile {
  // What is adopted is to be kept.
  let adopted = removeSettings(modernConfig(config), ({ key }) => key === "lxc.ephemeral");
  adopted = withoutMappedMount(setValue(adopted, "lxc.rootfs.path", rootfs));
  return getValues(adopted, "lxc.include").includes(hooksFile)
    ? adopted
    : appendValue(adopted, "lxc.include", hooksFile);
}

/** An id-mapped mount is for directories; an overlay's lower has its ids shifted on disk. */
function withoutMappedMount(config: ConfigFile): ConfigFile {
  const options = getValue(config, ROOTFS_OPTIONS)?.split(",") ?? [];
  const kept = options.filter((option) => !option.startsWith("idmap="));
  if (kept.length === options.length) return config;
  return kept.length > 0
    ? setValue(config, ROOTFS_OPTIONS, kept.join(","))
    : removeSettings(config, ({ key }) => key === ROOTFS_OPTIONS);
}

const ROOTFS_OPTIONS = "lxc.rootfs.options";
