import { StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { digestKey } from "../format/keys.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import type { Digest } from "../model/digest.ts";

/** What keeps nodes. */
export interface Nodes {
  put(bytes: Uint8Array): Digest;
  /** @throws {StoreError} NODE_MISSING, NODE_CORRUPT */
  get(digest: Digest): Uint8Array;
}

/** Nodes by digest, small and immutable: pages of directories, link tables and contents, and trees. */
export class NodeStore implements Nodes {
  readonly #meta: Kv;
  /** Put, not yet written. */
  #pending = new Map<Digest, Uint8Array>();

  /** Borrows `meta`. */
  constructor(meta: Kv) {
    this.#meta = meta;
  }

  /** Keeps `bytes`. Until `flush` it is in memory alone. */
  put(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    if (!this.has(digest)) this.#pending.set(digest, bytes);
    return digest;
  }

  has(digest: Digest): boolean {
    return this.#pending.has(digest) || this.#meta.getSync(digestKey("node", digest)) !== undefined;
  }

  /** Reads a node and proves it. @throws {StoreError} NODE_MISSING, NODE_CORRUPT */
  get(digest: Digest): Uint8Array {
    const pending = this.#pending.get(digest);
    if (pending !== undefined) return pending;
    const bytes = this.#meta.getSync(digestKey("node", digest));
    if (bytes === undefined) throw new StoreError("NODE_MISSING", { digest });
    const actual = digestOf(bytes);
    if (actual !== digest) throw new StoreError("NODE_CORRUPT", { digest, actual });
    return bytes;
  }

  /**
   * Writes what was put; safe from a power cut only after the database's barrier. What the nodes name must be durable.
   *
   * @returns false if there was nothing to write
   */
  async flush(): Promise<boolean> {
    const writing = this.#pending;
    if (writing.size === 0) return false;
    const operations: Operation[] = Array.from(writing, ([digest, value]) => ({
      type: "put",
      key: digestKey("node", digest),
      value,
    }));
    await this.#meta.write(operations);
    for (const digest of writing.keys()) this.#pending.delete(digest);
    return true;
  }
}
