import { readdirSync, readFileSync } from "node:fs";
import { run } from "../support/run.ts";

/** What containers that are gone must not have left on the host: mounts below a directory, loop devices, cgroups. */
export async function traces(directory: string, namePrefix: string): Promise<string[]> {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .flatMap((line) => line.split(" ")[4] ?? [])
    .filter((place) => place.startsWith(`${directory}/`));
  const loops = (await run("losetup", ["--list", "--noheadings", "--output", "BACK-FILE"]))
    .split("\n")
    .filter((file) => file.trim().startsWith(`${directory}/`));
  const groups = readdirSync("/sys/fs/cgroup", { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => [name, ...readdirSync(`/sys/fs/cgroup/${name}`).map((below) => `${name}/${below}`)])
    .filter(
      (name) => /(^|\/)lxc\.(payload|monitor)\./.test(name) && name.split(/lxc\.\w+\./)[1]?.startsWith(namePrefix),
    );
  return [...mounts, ...loops, ...groups];
}
