import { existsSync, readFileSync } from "node:fs";
import { StoreError } from "../errors.ts";
import {
  appendValue,
  type ConfigFile,
  getValues,
  parseConfig,
  removeSettings,
  type Setting,
  settingsOf,
  setValue,
} from "./config-file.ts";

export interface ContainerConfigOptions {
  readonly name: string;
  /** The value of `lxc.rootfs.path`. */
  readonly rootfs: string;
  /** The file that brings our hooks; none for a container without them. */
  readonly hooksFile?: string | undefined;
  /** The user's own, over the defaults: a key it sets is set by it alone. */
  readonly template?: ConfigFile | undefined;
  /** Over all that; keys that add up (`lxc.mount.entry`) are added. */
  readonly settings?: readonly Setting[] | undefined;
}

/**
 * The config of a new container.
 *
 * @throws {StoreError} USAGE for a setting of `lxc.rootfs.path`, which is ours, or one that no config can hold
 */
export function containerConfig({
  name,
  rootfs,
  hooksFile,
  template,
  settings = [],
}: ContainerConfigOptions): ConfigFile {
  const own = template ?? parseConfig("");
  const given = new Set(settingsOf(own).map(({ key }) => groupOf(key)));
  const defaults = removeSettings(parseConfig(DEFAULTS), ({ key }) => given.has(groupOf(key)));
  let config: ConfigFile = { lines: [...defaults.lines.slice(0, -1), ...own.lines] };
  if (!given.has("lxc.apparmor")) {
    for (const { key, value } of apparmorSettings()) config = appendValue(config, key, value);
  }
  config = removeSettings(config, ({ key }) => key === "lxc.rootfs.path");
  // Taken in twice, each hook would run twice.
  if (hooksFile !== undefined && !getValues(config, "lxc.include").includes(hooksFile))
    config = appendValue(config, "lxc.include", hooksFile);
  config = appendValue(config, "lxc.rootfs.path", rootfs);
  return withSettings(setValue(config, "lxc.uts.name", name), settings);
}

/** The config with these over what it says; keys that add up (`lxc.mount.entry`) are added. @throws as `containerConfig` */
export function withSettings(config: ConfigFile, settings: readonly Setting[]): ConfigFile {
  let changed = config;
  for (const { key, value } of settings) {
    if (key === "lxc.rootfs.path") throw new StoreError("USAGE", { reason: "lxc.rootfs.path is set by delta0 alone" });
    changed = ADDS_UP.test(key) ? appendValue(changed, key, value) : setValue(changed, key, value);
  }
  return changed;
}

/** With these a Debian with systemd boots; one without has `lxc.init.cmd` changed. */
const DEFAULTS = `# Made by delta0. Edit as you like; delta0 rewrites lxc.rootfs.path alone.
lxc.net.0.type = empty
lxc.init.cmd = /sbin/init
lxc.autodev = 1
lxc.pty.max = 1024
lxc.tty.max = 1
lxc.mount.auto = proc:mixed sys:ro cgroup:mixed
`;

/** Keys that LXC collects instead of keeping the last value. */
const ADDS_UP =
  /^lxc\.(mount\.(entry|auto)|cap\.(drop|keep)|environment|group|idmap|include|hook\.(?!version)|cgroup2?\.|prlimit\.|sysctl\.)/;

/** Keys that only make sense together: the networks, and what confines. */
function groupOf(key: string): string {
  return /^lxc\.(net|apparmor)(?=\.)/.exec(key)?.[0] ?? key;
}

function apparmorSettings(): Setting[] {
  if (!hasApparmor()) return [{ key: "lxc.apparmor.profile", value: "unconfined" }];
  // As Debian's own /etc/lxc/default.conf: systemd needs mounts that the profile without nesting forbids.
  return [
    { key: "lxc.apparmor.profile", value: "generated" },
    { key: "lxc.apparmor.allow_nesting", value: "1" },
  ];
}

function hasApparmor(): boolean {
  const file = "/sys/module/apparmor/parameters/enabled";
  return existsSync(file) && readFileSync(file, "latin1").startsWith("Y");
}
