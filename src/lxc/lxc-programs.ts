import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";

/** The LXC path that this host's LXC uses for this user; undefined without LXC. */
export function defaultLxcPath(): string | undefined {
  return unconfiguredLxcPath() ?? said("lxc-config", ["lxc.lxcpath"]);
}

/**
 * What a distribution's lxc-config says where nobody has configured it: to run it takes 10 ms.
 * Source: LXC, initutils.c, lxc_global_config_value.
 *
 * @returns undefined where that cannot be told
 */
function unconfiguredLxcPath(): string | undefined {
  // One that was built for another place has other paths compiled in.
  if (programFile("lxc-config") !== "/usr/bin/lxc-config") return undefined;
  const isRoot = process.geteuid?.() === 0;
  const home = process.env["HOME"] ?? "/";
  if (existsSync(isRoot ? "/etc/lxc/lxc.conf" : `${home}/.config/lxc/lxc.conf`)) return undefined;
  return isRoot ? "/var/lib/lxc" : `${home}/.local/share/lxc`;
}

/** What a program's name stands for here. */
function programFile(name: string): string | undefined {
  const files = (process.env["PATH"] ?? "").split(":").map((directory) => `${directory}/${name}`);
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
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
