import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { capabilities } from "../../src/sys/host.ts";
import { skipReason as loopSkipReason } from "./loop.ts";
import { rootfsSkipReason, type RootfsName } from "./rootfs.ts";
import { hasCommand, isRoot } from "./run.ts";

/**
 * Each of these is for the first line of a test: `if (!requireRoot(t)) return;`
 *
 * They skip the test, saying why, where this host cannot run it. As root under CI they fail it instead:
 * there everything is expected to be present, and a silent skip would look like a pass.
 */
export function requireRoot(t: TestContext): boolean {
  return require(t, rootSkipReason());
}

/** Root, LXC with what starts containers, overlayfs and a mounted cgroup hierarchy. */
export function requireLxc(t: TestContext): boolean {
  return require(t, lxcSkipReason());
}

/** Root and the named commands. */
export function requireCommands(t: TestContext, ...commands: readonly string[]): boolean {
  const missing = commands.filter((command) => !hasCommand(command));
  return require(t, rootSkipReason() ?? (missing.length > 0 ? `not installed: ${missing.join(" ")}` : undefined));
}

/** That `rootfsTar(name)` and `unpackedRootfs(name)` work. */
export function requireRootfs(t: TestContext, name: RootfsName): boolean {
  return require(t, rootSkipReason() ?? rootfsSkipReason(name));
}

/** That `loopFilesystem(kind, …)` works. */
export function requireLoop(t: TestContext, kind: Parameters<typeof loopSkipReason>[0]): boolean {
  return require(t, loopSkipReason(kind));
}

function require(t: TestContext, reason: string | undefined): boolean {
  if (reason === undefined) return true;
  if (process.env["CI"] === "true" && isRoot()) throw new Error(`cannot run here, though it is CI as root: ${reason}`);
  t.skip(reason);
  return false;
}

function rootSkipReason(): string | undefined {
  return isRoot() ? undefined : "needs root";
}

/** Why containers cannot be started here, or undefined if they can. */
export function lxcSkipReason(): string | undefined {
  if (!isRoot()) return "starting containers needs root";
  if (!capabilities().has("CAP_SYS_ADMIN")) return "starting containers needs CAP_SYS_ADMIN";
  const missing = ["lxc-start", "lxc-stop", "lxc-attach", "lxc-copy"].filter((command) => !hasCommand(command));
  if (missing.length > 0) return `LXC is not installed: no ${missing.join(", ")}`;
  if (!/\bcgroup2?\b/.test(readFileSync("/proc/self/mountinfo", "utf8"))) return "no cgroup hierarchy is mounted";
  if (!/\boverlay\b/.test(readFileSync("/proc/filesystems", "utf8"))) return "this kernel has no overlayfs";
  return undefined;
}
