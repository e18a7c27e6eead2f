import type { Credentials } from "./credentials.ts";
import type { Space } from "./path-calls.ts";
import type { SharedUpper } from "./shared-upper.ts";
import { TreeView } from "./tree-view.ts";
import { UpperNames } from "./upper-names.ts";
import { UpperSession } from "./upper-session.ts";
import { upperWrites } from "./upper-writes.ts";
import { ViewCore } from "./view-core.ts";

export interface ContainerViewOptions {
  /** Whose permissions count, and who owns what is made. Default: all is permitted, and root's. */
  readonly credentials?: Credentials;
  /** Bits that new files do not get, as umask(2) has them. */
  readonly umask: number;
  readonly space: Space;
}

/** The filesystem of a container, to read and to change. Views of one container see each other's changes at once. */
export class ContainerView extends TreeView implements AsyncDisposable {
  readonly #upper: SharedUpper;
  #closed = false;

  /** Owns its use of `upper`. */
  constructor(upper: SharedUpper, { credentials, umask, space }: ContainerViewOptions) {
    const core = new ViewCore(new UpperNames(upper.upper), upper.bytes, {
      caller: credentials,
      writesOf: (view) => upperWrites(new UpperSession(view, upper.upper, upper.bytes, credentials, umask)),
    });
    super(core, space);
    this.#upper = upper;
  }

  /** What was changed stays, and is the container's. May be called twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#upper.close();
  }
}
