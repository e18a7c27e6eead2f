import type { Credentials } from "./credentials.ts";
import type { Space } from "./path-calls.ts";
import { TreeView } from "./tree-view.ts";
import type { UpperBytes } from "./upper-bytes.ts";
import { UpperNames } from "./upper-names.ts";
import { UpperSession } from "./upper-session.ts";
import { upperWrites } from "./upper-writes.ts";
import type { Upper } from "./upper.ts";
import { ViewCore } from "./view-core.ts";

export interface ContainerViewOptions {
  /** Whose permissions count, and who owns what is made. Default: all is permitted, and root's. */
  readonly credentials?: Credentials;
  /** Bits that new files do not get, as umask(2) has them. */
  readonly umask: number;
  readonly space: Space;
}

/** One use of an upper, which ends with `close`. */
export interface OpenUpper {
  readonly upper: Upper;
  readonly bytes: UpperBytes;
  close(): Promise<void>;
}

/** The filesystem of a container, to read and to change. Views of one container see each other's changes at once. */
export class ContainerView extends TreeView implements AsyncDisposable {
  readonly #upper: OpenUpper;
  readonly #core: ViewCore;
  readonly #names: UpperNames;
  #closing: Promise<void> | undefined;

  /** Owns its use of `upper`. */
  constructor(upper: OpenUpper, { credentials, umask, space }: ContainerViewOptions) {
    const names = new UpperNames(upper.upper);
    const core = new ViewCore(names, upper.bytes, {
      caller: credentials,
      writesOf: (view) => upperWrites(new UpperSession(view, upper.upper, upper.bytes, credentials, umask)),
    });
    super(core, space);
    this.#upper = upper;
    this.#core = core;
    this.#names = names;
  }

  /** What was changed stays, and is the container's. What is called then fails with EBADF. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    this.#core.closeAll();
    this.#names.close();
    await this.#upper.close();
  }
}
