import type { ContainerView } from "../overlay/container-view.ts";
import { Pending } from "../overlay/pending.ts";
import { processUmask } from "../sys/umask.ts";
import type { ContainerFile, FilesChanged } from "./change-files.ts";
import { below, changeFiles } from "./change-files.ts";
import type { Context } from "./context.ts";
import { parseMode } from "./file-mode.ts";
import type { ModeChange } from "./file-mode.ts";

export interface ChmodFilesParams {
  /** Each `NAME:/path`. */
  readonly paths: readonly string[];
  /** As chmod takes it: "755", "u+x,g=rX". */
  readonly mode: string;
  /** All below directories too. Default: false. */
  readonly recursive?: boolean;
}

export interface ChmodItem extends ContainerFile {
  /** Those of the files whose mode was another one. */
  readonly changed: number;
}

/** chmod(1) in containers: symlinks that are named are followed, those below directories are left out. */
export async function chmodFiles(
  context: Context,
  { paths, mode, recursive = false }: ChmodFilesParams,
): Promise<FilesChanged<ChmodItem>> {
  const change = parseMode(mode);
  return await changeFiles(context, paths, async (view, file) => {
    const modes = new Modes(view, change);
    const top = Buffer.from(file.path);
    await modes.change(top);
    if (recursive && view.statSync(top).isDirectory()) {
      for (const { path, isSymlink } of below(view, top)) {
        context.signal?.throwIfAborted();
        if (!isSymlink) await modes.change(path);
      }
    }
    await modes.settle();
    return { ...file, changed: modes.changed };
  });
}

/** Changes modes, many at once. */
class Modes {
  readonly #view: ContainerView;
  readonly #change: ModeChange;
  readonly #umask = processUmask();
  readonly #pending = new Pending();
  changed = 0;

  constructor(view: ContainerView, change: ModeChange) {
    this.#view = view;
    this.#change = change;
  }

  async change(path: Buffer): Promise<void> {
    const stats = this.#view.statSync(path);
    const before = stats.mode & 0o7777;
    const after = this.#change({ mode: before, isDirectory: stats.isDirectory(), umask: this.#umask });
    if (after === before) return;
    this.changed++;
    await this.#pending.add(this.#view.promises.chmod(path, after));
  }

  async settle(): Promise<void> {
    await this.#pending.settle();
  }
}
