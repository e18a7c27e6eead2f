import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";
import { StoreError } from "../errors.ts";

/**
 * The output of an operation that may be done again from its start, elsewhere: what was given before is compared instead of given
 * again.
 */
export class ResumedOutput {
  readonly #give: (bytes: Uint8Array) => Promise<void>;
  #given: Hash | undefined;
  #givenBytes = 0;
  /** What comes again, up to where the first round ended. */
  #again: Hash | undefined;
  #againBytes = 0;

  constructor(give: (bytes: Uint8Array) => Promise<void>) {
    this.#give = give;
  }

  restart(): void {
    this.#again = undefined;
    this.#againBytes = 0;
  }

  /** @throws {StoreError} REFUSED if it is not what was given before */
  readonly write = async (bytes: Uint8Array): Promise<void> => {
    const known = bytes.subarray(0, Math.max(0, this.#givenBytes - this.#againBytes));
    this.#againBytes += bytes.length;
    if (known.length > 0) {
      (this.#again ??= createHash("sha256")).update(known);
      if (this.#againBytes >= this.#givenBytes) this.#compare();
    }
    const fresh = bytes.subarray(known.length);
    if (fresh.length === 0) return;
    (this.#given ??= createHash("sha256")).update(fresh);
    this.#givenBytes += fresh.length;
    await this.#give(fresh);
  };

  #compare(): void {
    if (this.#again?.copy().digest("hex") === this.#given?.copy().digest("hex")) return;
    throw new StoreError("REFUSED", {
      reason: "what was asked for has changed while it was being read",
      hint: "try again: what came is no whole",
    });
  }
}
