import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { hasCommand, isRoot, run } from "./run.ts";

/** Debian root filesystems, made by mmdebstrap from whatever mirror this host's apt uses. */
const RECIPES = {
  /** Boots systemd, has sshd. 8k entries, 200 MB. */
  bookworm: { suite: "bookworm", include: ["systemd-sysv", "iproute2", "openssh-server"] },
  /** The smallest that has apt. */
  trixie: { suite: "trixie", include: [] },
  "bookworm-minbase": { suite: "bookworm", include: [] },
  "bookworm-large": {
    suite: "bookworm",
    include: ["systemd-sysv", "iproute2", "openssh-server", "nginx", "python3", "postgresql"],
  },
} as const;

export type RootfsName = keyof typeof RECIPES;

/** The tar of a root filesystem, as mmdebstrap wrote it. Shared by all tests: do not change it. */
export async function rootfsTar(name: RootfsName, signal?: AbortSignal): Promise<string> {
  const path = `${fixture(name)}.tar`;
  await makeOnce(path, async (partial) => {
    const { suite, include } = RECIPES[name];
    const packages = include.length > 0 ? [`--include=${include.join(",")}`] : [];
    const args = ["--quiet", "--variant=minbase", "--format=tar", ...packages, suite, partial];
    // mmdebstrap unpacks below TMPDIR, which must allow devices, and of a user who is not root be open to others.
    const env = { TMPDIR: isRoot() ? FOLDER : "/var/tmp" };
    const debootstrap = () => run("mmdebstrap", args, { env, ...(signal && { signal }) });
    await debootstrap().catch(() => {
      signal?.throwIfAborted();
      return debootstrap();
    });
  });
  return path;
}

/**
 * The same unpacked by GNU tar with all xattrs and numeric owners. Shared by all tests: do not change it.
 *
 * ACLs stand in mmdebstrap's tars as xattrs only. With --acls GNU tar would wait for them as text, and lose them.
 */
export async function unpackedRootfs(name: RootfsName): Promise<string> {
  const path = `${fixture(name)}.unpacked`;
  const tar = await rootfsTar(name);
  await makeOnce(path, async (partial) => {
    await mkdir(partial);
    await run("tar", ["-xpf", tar, "-C", partial, "--xattrs", "--xattrs-include=*", "--numeric-owner"]);
  });
  return path;
}

/**
 * Why `rootfsTar(name)` cannot work here, or undefined if it seems to: mmdebstrap of a user who is not root needs
 * user namespaces and subordinate ids besides. `unpackedRootfs(name)` needs root.
 */
export function rootfsSkipReason(name: RootfsName): string | undefined {
  if (existsSync(`${fixture(name)}.tar`)) return undefined;
  if (!hasCommand("mmdebstrap")) return "mmdebstrap is not installed";
  return !isRoot() && process.geteuid?.() === 0 ? "mmdebstrap does not work in a user namespace" : undefined;
}

const FOLDER =
  process.env["DELTA0_FIXTURES"] ?? (isRoot() ? "/var/tmp/delta0-fixtures" : join(homedir(), ".cache/delta0-fixtures"));

/** Named after the recipe's digest too: a changed recipe is another fixture. */
function fixture(name: RootfsName): string {
  const recipe = createHash("sha256").update(JSON.stringify(RECIPES[name])).digest("hex");
  return join(FOLDER, `${name}-${recipe.slice(0, 12)}`);
}

/** Makes `path` unless it is there. Of several processes one makes it and the others wait. */
async function makeOnce(path: string, make: (partial: string) => Promise<void>): Promise<void> {
  if (existsSync(path)) return;
  await mkdir(FOLDER, { recursive: true, mode: 0o755 });
  await using _lock = await lock(`${path}.lock`);
  if (existsSync(path)) return;
  const partial = `${path}.partial`;
  await rm(partial, { recursive: true, force: true });
  const began = Date.now();
  console.error(`fixtures: making ${path}`);
  await make(partial);
  await rename(partial, path);
  console.error(`fixtures: ${path} took ${((Date.now() - began) / 1000).toFixed(0)} s`);
}

/** Holds flock(2) on `path` by a child, since Node cannot; the kernel drops it when either process dies. */
async function lock(path: string): Promise<AsyncDisposable> {
  // cat ends, and with it the lock, once our end of its standard input is closed.
  const holder = spawn("flock", ["--no-fork", path, "sh", "-c", "echo locked; exec cat"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const closed = once(holder, "close");
  const [said] = (await Promise.race([once(holder.stdout, "data"), closed])) as [unknown];
  if (!Buffer.isBuffer(said)) throw new Error(`cannot lock ${path}: flock ended with ${String(said)}`);
  return {
    [Symbol.asyncDispose]: async () => {
      holder.stdin.end();
      await closed;
    },
  };
}
