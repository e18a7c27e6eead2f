import { readdirSync, readFileSync } from "node:fs";
import { errnoOf } from "../../src/errors.ts";
import { run } from "../support/run.ts";

/**
 * What containers that are gone must not have left on the host: mounts below a directory, loop devices on files there, and by the
 * containers' names cgroups, network interfaces, and processes that name the directory too, as LXC's monitors do.
 */
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
  const interfaces = readdirSync("/sys/class/net").filter((name) => name.startsWith(namePrefix));
  const processes = readdirSync("/proc")
    .filter((pid) => /^[0-9]+$/.test(pid) && Number(pid) !== process.pid)
    .map((pid) => commandLine(pid))
    .filter((line) => line.includes(directory) && line.includes(namePrefix));
  return [...mounts, ...loops, ...groups, ...interfaces, ...processes];
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch (error) {
    // It has ended meanwhile.
    if (["ENOENT", "ESRCH"].includes(errnoOf(error) ?? "")) return "";
    throw error;
  }
}
