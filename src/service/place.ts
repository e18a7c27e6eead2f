import { readFileSync, readlinkSync, statSync } from "node:fs";

let found: string | undefined;

/**
 * Where this process is, as far as that decides what an operation does: its user, the files that it sees, and its delta0. What
 * another process does for it, it must do in the same place.
 */
export function place(): string {
  if (found !== undefined) return found;
  const root = statSync("/proc/self/root");
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const namespaces = ["mnt", "user", "pid", "net"].map((name) => readlinkSync(`/proc/self/ns/${name}`));
  found = [version, process.geteuid?.(), process.getegid?.(), root.dev, root.ino, ...namespaces].join(" ");
  return found;
}
