import { setImmediate as turn } from "node:timers/promises";
import type { Context } from "./context.ts";

/** Of an operation that takes long: turns for others, and progress. */
export class Turns {
  phase = "";
  readonly #context: Context;
  #next = 0;
  #entries = 0;
  #bytes = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  at(entries: number, bytes: number): Promise<void> | undefined {
    this.#entries = entries;
    this.#bytes = bytes;
    return this.due();
  }

  due(): Promise<void> | undefined {
    if (Date.now() < this.#next) return undefined;
    this.#next = Date.now() + TURN_MS;
    return this.#rest();
  }

  async #rest(): Promise<void> {
    const { onProgress, signal } = this.#context;
    onProgress?.({ phase: this.phase, entries: this.#entries, bytes: this.#bytes });
    await turn();
    signal?.throwIfAborted();
  }
}

const TURN_MS = 50;
