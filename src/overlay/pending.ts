/**
 * Changes of a view that have happened, and are on their way to the store: some hundred at a time, since they are stored
 * together. Whoever adds the last one settles them.
 */
export class Pending {
  #running: Promise<void>[] = [];

  /** Waits only where enough are on their way. @throws what an earlier one failed with */
  async add(change: Promise<void>): Promise<void> {
    // It is waited for below; until then its failure is no unhandled one.
    change.catch(() => undefined);
    this.#running.push(change);
    if (this.#running.length >= MAX_RUNNING) await this.settle();
  }

  /** @throws what the first one to fail failed with */
  async settle(): Promise<void> {
    const running = this.#running;
    this.#running = [];
    await Promise.all(running);
  }
}

const MAX_RUNNING = 256;
