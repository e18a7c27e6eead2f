import { StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { digestKey, kindRange } from "../format/keys.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import { digestFromBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { Claims } from "./claims.ts";

/** How many of something, and the bytes that they take. */
export interface Tally {
  count: number;
  bytes: number;
}

/** What a collection deleted, or would delete. */
export interface Swept extends Tally {
  /** How many it left. */
  kept: number;
}

/** What keeps nodes. */
export interface Nodes {
  put(bytes: Uint8Array): Digest;
  /** @throws {StoreError} NODE_MISSING, NODE_CORRUPT */
  get(digest: Digest): Uint8Array;
}

/** Nodes by digest, small and immutable: pages of directories, link tables and contents, and trees. */
export class NodeStore implements Nodes {
  readonly claims: Claims;
  readonly #meta: Kv;
  /** Put, not yet written. */
  #pending = new Map<Digest, Uint8Array>();
  /** Being deleted: the database may have them for a moment. */
  readonly #condemned = new Set<Digest>();

  /** Borrows both. */
  constructor(meta: Kv, claims: Claims = new Claims()) {
    this.#meta = meta;
    this.claims = claims;
  }

  /** Keeps `bytes`, and claims them. Until `flush` they are in memory alone. */
  put(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    this.claims.claim("nodes", digest);
    if (!this.has(digest)) this.#pending.set(digest, bytes);
    return digest;
  }

  /** As `put`, of a node that is there and damaged. */
  heal(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    this.claims.claim("nodes", digest);
    this.#pending.set(digest, bytes);
    return digest;
  }

  /** Keeps a node that is there from being collected while the operation runs. @returns false if it is not */
  claim(digest: Digest): boolean {
    if (!this.has(digest)) return false;
    this.claims.claim("nodes", digest);
    return true;
  }

  has(digest: Digest): boolean {
    return this.#pending.has(digest) || this.#read(digest) !== undefined;
  }

  /** Reads a node and proves it. @throws {StoreError} NODE_MISSING, NODE_CORRUPT */
  get(digest: Digest): Uint8Array {
    const pending = this.#pending.get(digest);
    if (pending !== undefined) return pending;
    const bytes = this.#read(digest);
    if (bytes === undefined) throw new StoreError("NODE_MISSING", { digest });
    const actual = digestOf(bytes);
    if (actual !== digest) throw new StoreError("NODE_CORRUPT", { digest, actual });
    return bytes;
  }

  #read(digest: Digest): Uint8Array | undefined {
    return this.#condemned.has(digest) ? undefined : this.#meta.getSync(digestKey("node", digest));
  }

  /** What was put and is not written yet. */
  pending(): readonly Digest[] {
    return [...this.#pending.keys()];
  }

  /**
   * Writes what was put; safe from a power cut only after the database's barrier. What the nodes name must be durable: others may be
   * put meanwhile that name what is not.
   *
   * @param writing of `pending`
   * @returns false if there was nothing to write
   */
  async flush(writing = this.pending()): Promise<boolean> {
    for (let next = 0; next < writing.length;) {
      const operations: Operation[] = [];
      const first = next;
      // One write of all would be in memory thrice.
      for (let bytes = 0; next < writing.length && bytes < WRITE_BYTES; next++) {
        const digest = writing[next]!;
        const value = this.#pending.get(digest);
        if (value === undefined) continue;
        bytes += value.length;
        operations.push({ type: "put", key: digestKey("node", digest), value });
      }
      await this.#meta.write(operations);
      for (const digest of writing.slice(first, next)) this.#pending.delete(digest);
    }
    return writing.length > 0;
  }

  /** Drops what was put and not written. */
  forgetPending(): void {
    this.#pending.clear();
  }

  /**
   * Deletes all nodes that are not live; or only counts them. May end at any time: what is left is left for the next.
   *
   * @param isLive asked right before one is deleted
   */
  async sweep(isLive: (digest: Digest) => boolean, { dryRun, signal }: SweepOptions): Promise<Swept> {
    const swept: Swept = { count: 0, bytes: 0, kept: 0 };
    const isDead = (digest: Digest): boolean => !isLive(digest) && !this.claims.has("nodes", digest);
    for await (const rows of this.#meta.batches(kindRange("node"))) {
      signal?.throwIfAborted();
      const dead = rows.flatMap(([key, { length }]) => {
        const digest = digestFromBytes(key.subarray(1));
        return isDead(digest) ? [{ digest, length }] : [];
      });
      for (const { length } of dead) swept.bytes += length;
      swept.count += dead.length;
      swept.kept += rows.length - dead.length;
      if (dryRun || dead.length === 0) continue;
      for (const { digest } of dead) this.#condemned.add(digest);
      try {
        await this.#meta.write(dead.map(({ digest }) => ({ type: "del", key: digestKey("node", digest) })));
      } finally {
        for (const { digest } of dead) this.#condemned.delete(digest);
      }
    }
    return swept;
  }
}

export interface SweepOptions {
  /** Counts, and deletes nothing. */
  readonly dryRun: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Of nodes, written at once. */
const WRITE_BYTES = 4 << 20;
