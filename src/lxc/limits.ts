import type { Setting } from "./config-file.ts";

export interface Limits {
  readonly memoryBytes?: number | undefined;
  /** Such as 1.5: of the time of one CPU. */
  readonly cpus?: number | undefined;
}

/** What bounds a container, for hosts with cgroup v1 and v2: LXC passes over the keys of the other version. */
export function limitSettings({ memoryBytes, cpus }: Limits): Setting[] {
  const settings: Setting[] = [];
  const add = (key: string, value: string): void => void settings.push({ key, value });
  if (memoryBytes !== undefined) {
    add("lxc.cgroup2.memory.max", String(memoryBytes));
    add("lxc.cgroup.memory.limit_in_bytes", String(memoryBytes));
  }
  if (cpus !== undefined) {
    const quota = String(Math.max(MIN_QUOTA_US, Math.round(cpus * PERIOD_US)));
    add("lxc.cgroup2.cpu.max", `${quota} ${PERIOD_US}`);
    add("lxc.cgroup.cpu.cfs_period_us", String(PERIOD_US));
    add("lxc.cgroup.cpu.cfs_quota_us", quota);
  }
  return settings;
}

const PERIOD_US = 100_000;
/** The kernel takes no less. */
const MIN_QUOTA_US = 1000;
