import type { Kv, Operation } from "../kv/kv.ts";

/**
 * Writes behind. What is put between two turns of the event loop goes to the database in one batch, all or nothing; what is
 * put while a batch is on its way makes up the next one. Reads see all that was put.
 */
export class UpperLog {
  readonly kv: Kv;
  #next = new Map<string, Operation>();
  #writing: Map<string, Operation> | undefined;
  #waiting: Waiting[] = [];
  #failure: { readonly error: unknown } | undefined;

  /** Borrows `kv`. */
  constructor(kv: Kv) {
    this.kv = kv;
  }

  get(key: Buffer): Uint8Array | undefined {
    const text = key.toString("latin1");
    const operation = this.#next.get(text) ?? this.#writing?.get(text);
    if (operation === undefined) return this.kv.getSync(key);
    return operation.type === "put" ? operation.value : undefined;
  }

  put(key: Buffer, value: Uint8Array): void {
    this.#next.set(key.toString("latin1"), { type: "put", key, value });
  }

  delete(key: Buffer): void {
    this.#next.set(key.toString("latin1"), { type: "del", key });
  }

  /** @throws what made an earlier batch fail: then memory and disk are no more the same */
  requireWorking(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** @returns a promise for when all that was put outlives this process. Its failure is that of all later ones too */
  async commit(): Promise<void> {
    this.requireWorking();
    if (this.#next.size === 0 && this.#writing === undefined) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#writing === undefined) void this.#write();
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
        this.#failure = { error };
        for (const { reject } of [...waiting, ...this.#waiting.splice(0)]) reject(error);
      }
    }
    this.#writing = undefined;
  }
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}
