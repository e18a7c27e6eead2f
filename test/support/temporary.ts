import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { isRoot, run } from "./run.ts";

export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
}

/**
 * A new empty directory, 0755, without symlinks in its path.
 * Its disposal also unmounts what is mounted below and removes immutable files.
 *
 * Not below os.tmpdir(): /tmp is often a tmpfs, which has no user xattrs, no immutable flag and little room.
 */
export async function temporaryDirectory(): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(process.env["DELTA0_TEST_TMPDIR"] ?? "/var/tmp", "delta0-test-"));
  // mkdtemp makes it 0700, which shuts out the mapped root of an unprivileged container.
  await chmod(path, 0o755);
  return { path, [Symbol.asyncDispose]: () => removeWhatever(path) };
}

/** Unmounts everything mounted at or below `path`, the last mounted first. */
export async function unmountBelow(path: string): Promise<void> {
  for (const mountPoint of (await mountPoints()).reverse()) {
    if (mountPoint !== path && !mountPoint.startsWith(`${path}/`)) continue;
    // A test that failed may have left something open there; lazily it goes once that is closed.
    await run("umount", [mountPoint]).catch(() => run("umount", ["--lazy", mountPoint]));
  }
}

async function removeWhatever(path: string): Promise<void> {
  if (isRoot()) await unmountBelow(path);
  try {
    await remove(path);
  } catch (error) {
    if (!isRoot()) throw error;
    // Says no about each file that cannot have flags; what matters is whether the removal then works.
    await run("chattr", ["-R", "-f", "-i", "-a", path]).catch(() => undefined);
    await remove(path);
  }
}

// rm(1), since fs.rm builds whole paths, and so fails on trees that are deeper than PATH_MAX.
async function remove(path: string): Promise<void> {
  await run("rm", ["-rf", "--one-file-system", "--", path]);
  await rm(path, { recursive: true, force: true });
}

async function mountPoints(): Promise<string[]> {
  const lines = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) =>
    line.split(" ")[4]!.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
  );
}
