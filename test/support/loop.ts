import { mkdir, open } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { hasCommand, isRoot, run } from "./run.ts";
import { temporaryDirectory, unmountBelow, type TemporaryDirectory } from "./temporary.ts";

type LoopKind = "ext4" | "xfs" | "btrfs";

/** What mkfs of each demands at least. */
const MINIMUM_MEGABYTES: Readonly<Record<LoopKind, number>> = { ext4: 8, xfs: 320, btrfs: 128 };

export interface LoopFilesystem extends TemporaryDirectory {
  /** As after a power cut: what its disk has is what it has. What is mounted below is gone, too. */
  readonly remount: () => Promise<void>;
}

/**
 * A new filesystem of `kind`, mounted at `path` for as long as the result is not disposed of.
 * It stands on a sparse file. xfs and btrfs can reflink, ext4 cannot.
 *
 * @param sizeMB raised to what the kind needs at least: 8 (ext4), 320 (xfs), 128 (btrfs)
 * @throws {Error} if it cannot be mounted here: ask `skipReason` first
 */
export async function loopFilesystem(kind: LoopKind, sizeMB: number): Promise<LoopFilesystem> {
  const directory = await temporaryDirectory();
  try {
    const image = join(directory.path, "image");
    const path = join(directory.path, "mounted");
    await mkdir(path);
    const file = await open(image, "wx");
    await file.truncate(Math.max(sizeMB, MINIMUM_MEGABYTES[kind]) * 1024 * 1024);
    await file.close();
    await run(`mkfs.${kind}`, ["-q", image]);
    const mount = async (): Promise<unknown> => await run("mount", ["-t", kind, "-o", "loop", image, path]);
    await mount();
    return {
      path,
      remount: async () => {
        await unmountBelow(path);
        await mount();
      },
      [Symbol.asyncDispose]: async () => {
        await unmountBelow(path);
        await directory[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await directory[Symbol.asyncDispose]();
    throw error;
  }
}

/** Why `loopFilesystem` cannot work here, or undefined if it can. */
export function skipReason(kind: LoopKind): string | undefined {
  if (!isRoot()) return `a loop mount of ${kind} needs root`;
  if (!hasCommand(`mkfs.${kind}`)) return `mkfs.${kind} is not installed`;
  if (!existsSync("/dev/loop-control")) return "this kernel has no loop devices";
  return undefined;
}
