import type { UpperPiece } from "../format/upper.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import type { PieceFile } from "./piece-file.ts";

/**
 * What an upper writes: records, and the bytes that they lead to.
 *
 * Records are written behind. What is put between two turns of the event loop goes to the database in one batch, all or nothing; what is
 * put while a batch is on its way makes up the next one. Reads see all that was put.
 */
export class UpperLog {
  readonly kv: Kv;
  readonly pieces: PieceFile;
  /** Called when a batch failed, before anybody hears of it: what was put since is dropped. */
  onFailure: () => Promise<void> = () => Promise.resolve();
  /** Of the call that is being made. */
  #current = new Map<string, Operation>();
  #released: UpperPiece[] = [];
  #next = new Map<string, Operation>();
  #writing: Map<string, Operation> | undefined;
  #waiting: Waiting[] = [];
  #hasFailed = false;

  /** Borrows `kv`, takes over `pieces`. */
  constructor(kv: Kv, pieces: PieceFile) {
    this.kv = kv;
    this.pieces = pieces;
  }

  get(key: Buffer): Uint8Array | undefined {
    const text = key.toString("latin1");
    const operation = this.#current.get(text) ?? this.#next.get(text) ?? this.#writing?.get(text);
    if (operation === undefined) return this.kv.getSync(key);
    return operation.type === "put" ? operation.value : undefined;
  }

  put(key: Buffer, value: Uint8Array): void {
    this.#current.set(key.toString("latin1"), { type: "put", key, value });
  }

  delete(key: Buffer): void {
    this.#current.set(key.toString("latin1"), { type: "del", key });
  }

  /** No record leads to this piece any more. */
  release(piece: UpperPiece): void {
    this.#released.push(piece);
  }

  /** Forgets what was put since the last commit began. @returns whether there was anything */
  drop(): boolean {
    const { size } = this.#current;
    this.#current = new Map();
    this.#released = [];
    return size > 0;
  }

  /** True from the failure of a batch until `recover` has worked. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** @throws {StoreError} NO_SPACE and others, if writing would fail again */
  async recover(): Promise<void> {
    await this.kv.requireWritable();
    this.#hasFailed = false;
  }

  /** @returns a promise for when all that was put outlives this process. If it rejects, what was not written is dropped */
  async commit(): Promise<void> {
    for (const [key, operation] of this.#current) this.#next.set(key, operation);
    this.#current = new Map();
    for (const piece of this.#released) this.pieces.release(piece);
    this.#released = [];
    if (this.#next.size === 0 && this.#writing === undefined) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#writing === undefined) void this.#write();
    });
    if (this.pieces.releasedUnits > MAX_RELEASED_UNITS) void this.barrier().catch(() => undefined);
  }

  /** Makes all that was put outlive a power cut. */
  async barrier(): Promise<void> {
    await this.pieces.barrier(async () => {
      await this.commit();
      await this.kv.barrier();
    });
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      this.#writing = this.#next;
      this.#next = new Map();
      try {
        await this.kv.write([...this.#writing.values()]);
        for (const { resolve } of waiting) resolve();
      } catch (error) {
        await this.#fail(waiting, error);
      }
    }
    this.#writing = undefined;
  }

  /** What came after the batch was built on it. */
  async #fail(waiting: Waiting[], error: unknown): Promise<void> {
    this.#hasFailed = true;
    this.pieces.forget();
    waiting.push(...this.#waiting.splice(0));
    // Until all is as the database has it, who reads finds what is in memory.
    this.#writing = new Map([...(this.#writing ?? []), ...this.#next]);
    this.#next = new Map();
    await this.onFailure();
    this.#writing = new Map();
    for (const { reject } of waiting) reject(error);
  }
}

/** 64 MiB of bytes that are overwritten or deleted. */
const MAX_RELEASED_UNITS = 16 * 1024;

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}
