import { DigestMap } from "../model/digest-map.ts";
import type { Digest } from "../model/digest.ts";

/**
 * What operations that are under way rely on though no name may reach it: chunks and nodes they put or found there, trees they
 * look into. A collection leaves them.
 *
 * A claim ends when all operations have ended that were running when it was made. So claims are kept by epochs, each with the number of
 * operations that began in it: a collection begins a new one, and the oldest goes once no operation of it is left.
 */
export class Claims {
  #epochs: Epoch[] = [newEpoch()];
  /** Called with each tree that is claimed, while a collection runs. */
  onTree: ((tree: Digest) => void) | undefined;
  /** Called when no operation runs any more. */
  onIdle: (() => void) | undefined;

  /** An operation begins. It ends when what is returned is disposed. */
  begin(): Disposable {
    const epoch = this.#last;
    epoch.operations++;
    return {
      [Symbol.dispose]: () => {
        epoch.operations--;
        this.#drop();
        if (this.#epochs.some(({ operations }) => operations > 0)) return;
        this.#epochs = [newEpoch()];
        this.onIdle?.();
      },
    };
  }

  /** From now on what was claimed before can be told from what is claimed. */
  beginEpoch(): void {
    this.#epochs.push(newEpoch());
    this.#drop();
  }

  claim(kind: Kind, digest: Digest): void {
    this.#last[kind].add(digest);
  }

  has(kind: Kind, digest: Digest): boolean {
    return this.#epochs.some((epoch) => epoch[kind].has(digest));
  }

  /** A tree with all that it reaches. */
  claimTree(tree: Digest): void {
    if (this.has("trees", tree)) return;
    this.claim("trees", tree);
    this.onTree?.(tree);
  }

  trees(): Digest[] {
    return this.#epochs.flatMap(({ trees }) => [...trees]);
  }

  get #last(): Epoch {
    return this.#epochs.at(-1)!;
  }

  #drop(): void {
    while (this.#epochs.length > 1 && this.#epochs[0]?.operations === 0) this.#epochs.shift();
  }
}

/** A file's bytes may be those of a node, and have its digest. */
type Kind = "chunks" | "nodes" | "trees";

interface Epoch {
  // An import may put millions.
  readonly chunks: DigestMap;
  readonly nodes: DigestMap;
  readonly trees: Set<Digest>;
  /** That began in it and run. */
  operations: number;
}

function newEpoch(): Epoch {
  return { chunks: new DigestMap(), nodes: new DigestMap(), trees: new Set(), operations: 0 };
}
