import { setImmediate } from "node:timers/promises";

export interface TurnOptions {
  /** Stops the work with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called about twenty times a second. */
  readonly onProgress?: ((progress: { readonly entries: number; readonly bytes: number }) => void) | undefined;
}

/** Lets synchronous work of any length give way to timers, signals and progress: `if (turns.due) await turns.rest()`. */
export class Turns {
  entries = 0;
  bytes = 0;
  readonly #options: TurnOptions;
  #next: number;

  constructor(options: TurnOptions) {
    options.signal?.throwIfAborted();
    this.#options = options;
    this.#next = Date.now() + TURN_MS;
  }

  get due(): boolean {
    return Date.now() >= this.#next;
  }

  async rest(): Promise<void> {
    this.#options.onProgress?.({ entries: this.entries, bytes: this.bytes });
    await setImmediate();
    this.#options.signal?.throwIfAborted();
    this.#next = Date.now() + TURN_MS;
  }
}

const TURN_MS = 50;
