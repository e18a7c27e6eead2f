import type { UpperBlock } from "../format/upper.ts";

/** A file's changed blocks by number, as a Map would have them. Most files have one or none, and a Map takes 230 bytes. */
export class Blocks {
  #number = 0;
  #first: UpperBlock | undefined;
  #others: Map<number, UpperBlock> | undefined;

  get size(): number {
    return (this.#first === undefined ? 0 : 1) + (this.#others?.size ?? 0);
  }

  get(number: number): UpperBlock | undefined {
    return this.#number === number && this.#first !== undefined ? this.#first : this.#others?.get(number);
  }

  set(number: number, block: UpperBlock): void {
    const isOther = this.#first !== undefined ? this.#number !== number : this.#others?.has(number) === true;
    if (isOther) {
      (this.#others ??= new Map()).set(number, block);
      return;
    }
    this.#number = number;
    this.#first = block;
  }

  delete(number: number): void {
    if (this.#number === number && this.#first !== undefined) this.#first = undefined;
    else this.#others?.delete(number);
  }

  clear(): void {
    this.#first = undefined;
    this.#others = undefined;
  }

  *keys(): Generator<number> {
    for (const [number] of this) yield number;
  }

  *[Symbol.iterator](): Generator<readonly [number: number, block: UpperBlock]> {
    if (this.#first !== undefined) yield [this.#number, this.#first];
    if (this.#others !== undefined) yield* this.#others;
  }
}
