import { spawnSync } from "node:child_process";

/** The LXC path that this host's LXC uses for this user; undefined without LXC. */
export function defaultLxcPath(): string | undefined {
  return said("lxc-config", ["lxc.lxcpath"]);
}

/** Such as "5.0.2"; undefined without LXC. */
export function lxcVersion(): string | undefined {
  return said("lxc-start", ["--version"]);
}

/** @returns the program's first line; undefined if it is missing, fails or has nothing to say */
export function said(program: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  // stdout is null where the program could not be started.
  return status === 0 ? stdout.split("\n", 1)[0]?.trim() || undefined : undefined;
}
