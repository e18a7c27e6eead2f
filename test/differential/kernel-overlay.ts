import { unmount } from "../../src/sys/mounts.ts";
import { DirectorySystem } from "./directory-system.ts";
import type { Layer } from "./layers.ts";
import { materialize, writeMetadata } from "./materialize.ts";
import type { Inode } from "./model-tree.ts";
import type { Snapshot } from "./operations.ts";
import type { Place } from "./scratch.ts";
import { snapshotDirectory } from "./snapshot-directory.ts";
import { calls, cString, done } from "./syscalls.ts";

/** Options of overlayfs, as mount(8) takes them. */
export type KernelOptions = "" | "redirect_dir=on" | "index=on,redirect_dir=on";

export interface KernelOverlay extends AsyncDisposable {
  readonly system: DirectorySystem;
  readonly upper: string;
  /** Unmounts, so that the upper can be read. */
  unmount(): void;
  /** What the kernel shows of another upper over the same lowers. */
  snapshotOver(upper: string): Snapshot;
}

/** Mounts layers, the lowest first, as lowers of their own below an empty upper. Root only. */
export async function mountLayers(
  place: Place,
  layers: readonly Layer[],
  merged: Inode,
  options: KernelOptions,
): Promise<KernelOverlay> {
  const lowers = layers.map((layer, i) => {
    const path = place.directory(`layer${i}`);
    materialize(layer.root, path, layer);
    return path;
  });
  const [upper, work, target] = ["upper", "work", "overlay"].map((name) => place.directory(name)) as [
    string,
    string,
    string,
  ];
  // The root that shows is the upper's.
  writeMetadata(merged, upper);
  const lowerOption = `lowerdir=${lowers.reverse().join(":")}`;
  mountOverlay(target, [lowerOption, `upperdir=${upper}`, `workdir=${work}`, options]);
  let mounted = true;
  try {
    const system = await DirectorySystem.open(`overlay mount${options && ` with ${options}`}`, target);
    const release = (): void => {
      if (!mounted) return;
      mounted = false;
      system[Symbol.dispose]();
      unmount(target);
    };
    const snapshotOver = (other: string): Snapshot => {
      mountOverlay(target, [lowerOption, `upperdir=${other}`, `workdir=${place.directory("other-work")}`]);
      try {
        return snapshotDirectory(target);
      } finally {
        unmount(target);
      }
    };
    return { system, upper, unmount: release, snapshotOver, [Symbol.asyncDispose]: async () => release() };
  } catch (error) {
    unmount(target);
    throw error;
  }
}

function mountOverlay(target: string, options: readonly string[]): void {
  const data = options.filter((option) => option !== "").join(",");
  done(calls().mount(cString("overlay"), cString(target), cString("overlay"), 0, cString(data)));
}
