import { constants } from "node:fs";
import type { BlockCache } from "./block-cache.ts";
import { callbackFace } from "./callback-face.ts";
import type { CallbackFace } from "./callback-face.ts";
import { fileError } from "./file-error.ts";
import { LowerBytes } from "./lower-bytes.ts";
import type { LowerTree } from "./lower-tree.ts";
import { PromisesFace } from "./promises-face.ts";
import { SyncFace } from "./sync-face.ts";
import { ViewCore } from "./view-core.ts";

/**
 * A filesystem to read as one reads with node:fs: synchronous functions, those that call back, and `promises`. A library that
 * takes an `fs` takes a view. All functions are its own properties and need no `this`.
 *
 * Paths are relative to the view's root, whichever way they are written; nothing leads out of it. Errors are node:fs's, with
 * code, errno, syscall and path. What would write fails with EROFS. Damage in the store is EIO where it is come upon, with
 * the StoreError as `cause`; all else stays readable.
 */
export class TreeView extends SyncFace implements CallbackFace {
  readonly constants: typeof constants = constants;
  readonly promises: PromisesFace;
  readonly stat: CallbackFace["stat"];
  readonly lstat: CallbackFace["lstat"];
  readonly fstat: CallbackFace["fstat"];
  readonly access: CallbackFace["access"];
  readonly readdir: CallbackFace["readdir"];
  readonly opendir: CallbackFace["opendir"];
  readonly readFile: CallbackFace["readFile"];
  readonly readlink: CallbackFace["readlink"];
  readonly realpath: CallbackFace["realpath"];
  readonly open: CallbackFace["open"];
  readonly close: CallbackFace["close"];
  readonly read: CallbackFace["read"];
  readonly exists: CallbackFace["exists"];
  readonly createReadStream: CallbackFace["createReadStream"];

  /** A tree, to read alone. Borrows both. */
  static of(tree: LowerTree, blocks: BlockCache): TreeView {
    return new TreeView(new ViewCore(tree, new LowerBytes(blocks)));
  }

  constructor(core: ViewCore) {
    super(core);
    const callbacks = callbackFace(this);
    this.promises = new PromisesFace(core, this, callbacks);
    ({
      stat: this.stat,
      lstat: this.lstat,
      fstat: this.fstat,
      access: this.access,
      readdir: this.readdir,
      opendir: this.opendir,
      readFile: this.readFile,
      readlink: this.readlink,
      realpath: this.realpath,
      open: this.open,
      close: this.close,
      read: this.read,
      exists: this.exists,
      createReadStream: this.createReadStream,
    } = callbacks);
    addRefusals(this, this.promises);
  }
}

/** A function of node:fs that writes, here. */
function addRefusals(view: object, promises: object): void {
  for (const name of WRITING) {
    const refusal = (path?: unknown): Error => fileError("EROFS", name, typeof path === "string" ? path : undefined);
    Object.assign(promises, { [name]: (path: unknown) => Promise.reject(refusal(path)) });
    Object.assign(view, {
      [`${name}Sync`]: (path: unknown) => {
        throw refusal(path);
      },
      [name]: (path: unknown, ...rest: unknown[]) => {
        const callback = rest.at(-1) as (error: Error) => void;
        setImmediate(() => callback(refusal(path)));
      },
    });
  }
}

const WRITING = [
  ..."appendFile chmod chown copyFile cp lchmod lchown link lutimes mkdir mkdtemp rename rm rmdir symlink".split(" "),
  ..."truncate unlink utimes writeFile".split(" "),
];
