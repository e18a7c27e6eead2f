import { Interrupted } from "./failure.ts";

/**
 * SIGINT and SIGTERM. Once something is being done the first aborts it, and the command ends when that has come to its
 * end, which may be a good one; before, and for a second signal, the process ends at once.
 */
export class Interrupt {
  readonly #controller = new AbortController();
  #guarded = false;

  constructor() {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        const reason = new Interrupted(signal);
        if (!this.#guarded || this.signal.aborted) process.exit(reason.exit);
        this.#controller.abort(reason);
      });
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on, what is done ends in order. */
  guard(): void {
    this.#guarded = true;
  }
}
