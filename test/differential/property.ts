import { randomInt } from "node:crypto";
import fc from "fast-check";
import { isRoot } from "../support/run.ts";
import { anyLayers, type Powers } from "./arbitraries.ts";
import type { KernelOptions } from "./kernel-overlay.ts";
import { anyOperation } from "./operation-arbitraries.ts";
import type { Op } from "./operations.ts";
import type { Scratch } from "./scratch.ts";
import { runSequence, type Sequence } from "./sequence.ts";

export interface PropertyOptions {
  readonly seed: number;
  readonly sequences: number;
  /** Calls of each sequence. */
  readonly length: number;
  /** undefined: without the kernel's overlay. Else root only. */
  readonly kernel?: KernelOptions | undefined;
}

/** @throws {Error} with the seed and the shortest counterexample that was found, as `replay.ts` takes it */
export async function assertAgreement(scratch: Scratch, options: PropertyOptions): Promise<void> {
  const { seed, sequences, length, kernel } = options;
  const powers: Powers = {
    privileged: isRoot(),
    // Without its index the kernel does not keep the links of lower files.
    lowerLinks: kernel === undefined || kernel.includes("index=on"),
  };
  const property = fc.asyncProperty(anySequence(powers, length), (sequence) =>
    runSequence(scratch, sequence, { kernel }),
  );
  const found = await fc.check(property, { seed, numRuns: sequences });
  if (!found.failed) return;
  const [sequence] = found.counterexample ?? [];
  const reason = found.errorInstance;
  throw new Error(
    `seed ${seed}, ${found.numShrinks} shrinks, ${String(reason)}\n${JSON.stringify({ kernel, ...sequence })}`,
    { cause: reason },
  );
}

/** A new seed, printed, or that of a run that is to be repeated. */
export function testSeed(): number {
  const seed = Number(process.env["DELTA0_SEED"] ?? randomInt(2 ** 31));
  console.log(`DELTA0_SEED=${seed}`);
  return seed;
}

function anySequence(powers: Powers, length: number): fc.Arbitrary<Sequence> {
  const mine = [process.geteuid!(), process.getegid!()] as const;
  const operation = anyOperation(powers, mine);
  return fc.record({ layers: anyLayers(powers, mine), operations: new LongArray(operation, length) });
}

/** Arrays of just `length` elements, that yet shrink to fewer. */
class LongArray extends fc.Arbitrary<Op[]> {
  readonly #long: fc.Arbitrary<Op[]>;
  readonly #any: fc.Arbitrary<Op[]>;

  constructor(element: fc.Arbitrary<Op>, length: number) {
    super();
    this.#long = fc.array(element, { minLength: length, maxLength: length });
    this.#any = fc.array(element, { maxLength: length });
  }

  override generate(random: fc.Random, bias: number | undefined): fc.Value<Op[]> {
    return this.#long.generate(random, bias);
  }

  override canShrinkWithoutContext(value: unknown): value is Op[] {
    return this.#any.canShrinkWithoutContext(value);
  }

  override shrink(value: Op[], context: unknown): fc.Stream<fc.Value<Op[]>> {
    return this.#any.shrink(value, context);
  }
}
