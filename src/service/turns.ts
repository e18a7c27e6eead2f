/** Operations of one process take turns. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  async take(): Promise<Turn> {
    return new Turn(this, await this.wait());
  }

  /** @returns what ends the turn that begins */
  async wait(): Promise<() => void> {
    const before = this.#last;
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#last = before.then(() => ended);
    await before;
    return end;
  }
}

export class Turn {
  readonly #turns: Turns;
  #end: (() => void) | undefined;

  constructor(turns: Turns, end: () => void) {
    this.#turns = turns;
    this.#end = end;
  }

  get isAside(): boolean {
    return this.#end === undefined;
  }

  /** Others have their turns during `work`; afterwards this waits for another. */
  readonly aside = async <T>(work: () => Promise<T>): Promise<T> => {
    if (this.#end === undefined) return await work();
    this.end();
    try {
      return await work();
    } finally {
      this.#end = await this.#turns.wait();
    }
  };

  end(): void {
    this.#end?.();
    this.#end = undefined;
  }
}
