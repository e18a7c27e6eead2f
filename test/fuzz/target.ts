import { StoreError } from "../../src/errors.ts";
import type { Random } from "./random.ts";

/** A part that takes bytes from outside. */
export interface Target {
  readonly name: string;
  /** How many of all cases it gets. */
  readonly weight: number;
  /** Makes a case, and throws if the part does with it what it must not. */
  readonly run: (random: Random) => void | Promise<void>;
}

/** What refuses `decode` by a typed error gives undefined. */
export function typed<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

export async function typedAsync<T>(decode: () => Promise<T>): Promise<T | undefined> {
  try {
    return await decode();
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

export function requireSame(again: Uint8Array | undefined, bytes: Uint8Array): void {
  if (again !== undefined && Buffer.compare(again, bytes) !== 0)
    throw new Error("what decodes is written in another way: there are two spellings of it");
}
