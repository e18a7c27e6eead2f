import { spawnSync } from "node:child_process";

/** The LXC path that this host's LXC uses for this user; undefined without LXC. */
export function defaultLxcPath(): string | undefined {
  return said("lxc-config", ["lxc.lxcpath"]);
}

/** Such as "5.0.2"; undefined without LXC. */
export function lxcVersion(): string | undefined {
  return said("lxc-start", ["--version"]);
}

/**
 * Kills all that runs in a container. Waits for it, and for its post-stop hook.
 *
 * @returns why it did not work; undefined if it did
 */
export function stopContainer(lxcPath: string, name: string): string | undefined {
  const args = ["-P", lxcPath, "-n", name, "-k"];
  const { status, stderr, error } = spawnSync("lxc-stop", args, {
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (status === 0) return undefined;
  return error?.message ?? (stderr.trim() || `lxc-stop ended with ${status ?? "a signal"}`);
}

/** @returns the program's first line; undefined if it is missing, fails or has nothing to say */
export function said(program: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  // stdout is null where the program could not be started.
  return status === 0 ? stdout.split("\n", 1)[0]?.trim() || undefined : undefined;
}
