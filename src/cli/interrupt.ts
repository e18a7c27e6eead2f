import { Interrupted } from "./failure.ts";

/**
 * SIGINT and SIGTERM. While something is being done the first aborts it, and the command ends once that has come to its
 * end; before and after, and for a second one, the process ends at once.
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

  /** From now to the disposal, what is done ends in order. */
  guard(): Disposable {
    this.#guarded = true;
    return {
      [Symbol.dispose]: () => {
        this.#guarded = false;
      },
    };
  }
}
