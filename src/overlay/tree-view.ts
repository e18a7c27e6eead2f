import { constants } from "node:fs";
import type { BlockCache } from "./block-cache.ts";
import { CallbackFace } from "./callback-face.ts";
import { FileCalls } from "./file-calls.ts";
import { fileError } from "./file-error.ts";
import { LowerBytes } from "./lower-bytes.ts";
import type { LowerTree } from "./lower-tree.ts";
import { PathCalls } from "./path-calls.ts";
import type { Space } from "./path-calls.ts";
import { PromisesFace } from "./promises-face.ts";
import { readOnlyWrites } from "./read-only.ts";
import { ViewCore } from "./view-core.ts";

/**
 * A filesystem as node:fs is one: functions that call back, `promises`, and those of the synchronous ones that read. A library
 * that takes an `fs` takes a view. All functions are its own properties and need no `this`.
 *
 * Paths are relative to the view's root, whichever way they are written; nothing leads out of it. Errors are node:fs's, with
 * code, errno, syscall, path and dest. In a view of what cannot change, what would change it fails with EROFS. Damage in the
 * store is EIO where it is come upon, with the StoreError as `cause`; all else stays readable.
 */
export class TreeView extends CallbackFace {
  readonly constants: typeof constants = constants;
  readonly promises: PromisesFace;

  /** A tree, to read alone. Borrows both. */
  static of(tree: LowerTree, blocks: BlockCache): TreeView {
    return new TreeView(new ViewCore(tree, new LowerBytes(blocks)));
  }

  /** @param space of what it is stored in, for statfs; else there is none */
  constructor(core: ViewCore, space?: Space) {
    const writes = core.writes ?? readOnlyWrites(core);
    const files = new FileCalls(core, writes);
    const paths = new PathCalls(core, writes, files, space);
    super(core, paths, files);
    this.promises = new PromisesFace(this, paths, files);
    if (core.writes === undefined) addRefusals(this);
  }
}

/** A synchronous function of node:fs that writes, where nothing can be written. Where it can, there is none. */
function addRefusals(view: object): void {
  for (const name of WRITING) {
    const refuse = (path?: unknown): never => {
      throw fileError("EROFS", name, typeof path === "string" ? path : undefined);
    };
    Object.assign(view, { [`${name}Sync`]: refuse });
  }
}

const WRITING = [
  ..."appendFile chmod chown copyFile cp lchmod lchown link lutimes mkdir mkdtemp rename rm rmdir symlink".split(" "),
  ..."truncate unlink utimes writeFile".split(" "),
];
