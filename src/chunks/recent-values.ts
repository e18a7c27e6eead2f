/** The values last read: files that were imported together are read together, and share values. */
export class RecentValues {
  readonly #values = new Map<number, Uint8Array>();

  get(id: number, read: () => Uint8Array | undefined): Uint8Array | undefined {
    let value = this.#values.get(id);
    if (value === undefined) {
      value = read();
      if (value === undefined) return undefined;
      const [oldest] = this.#values.size >= RECENT_VALUES ? this.#values.keys() : [];
      if (oldest !== undefined) this.#values.delete(oldest);
      this.#values.set(id, value);
    }
    return value;
  }
}

const RECENT_VALUES = 16;
