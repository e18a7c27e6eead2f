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
  const reason = firstOf(found.errorInstance);
  throw new Error(
    `seed ${seed}, ${found.numShrinks} shrinks, ${String(reason)}\n${JSON.stringify({ kernel, ...sequence })}`,
    { cause: reason },
  );
}

/** What went wrong first: cleaning up after it may have failed, too. */
function firstOf(error: unknown): unknown {
  for (let at = error; ;) {
    if (!(at instanceof Error) || !("suppressed" in at)) return at;
    at = at.suppressed;
  }
}

/** A new seed, printed, or that of a run that is to be repeated. */
export function testSeed(): number {
  const seed = Number(process.env["DELTA0_SEED"] ?? randomInt(2 ** 31));
  console.log(`DELTA0_SEED=${seed}`);
  return seed;
}

function anySequence(powers: Powers, length: number): fc.Arbitrary<Sequence> {
  const mine = [process.geteuid!(), process.getegid!()] as const;
  const operations = new CallsArbitrary(anyOperation(powers, mine), length);
  // What comes first is shrunk first: with fewer calls each further try takes less time.
  return fc.record({ operations, layers: anyLayers(powers, mine) });
}

/**
 * Just `length` calls. They shrink by leaving some out, half of them, then a quarter, and so on, and those at the end first: what
 * comes after a difference has no part in it. fast-check's own arrays try one by one.
 */
class CallsArbitrary extends fc.Arbitrary<Op[]> {
  readonly #calls: fc.Arbitrary<Op[]>;

  constructor(call: fc.Arbitrary<Op>, length: number) {
    super();
    this.#calls = fc.array(call, { minLength: length, maxLength: length });
  }

  override generate(random: fc.Random, bias: number | undefined): fc.Value<Op[]> {
    return new fc.Value(this.#calls.generate(random, bias).value, undefined);
  }

  override canShrinkWithoutContext(value: unknown): value is Op[] {
    return Array.isArray(value);
  }

  override shrink(calls: Op[], context: unknown): fc.Stream<fc.Value<Op[]>> {
    return new fc.Stream(shorter(calls, context as Shrunk | undefined));
  }
}

/** How many calls were last left out at once, and before which. */
interface Shrunk {
  readonly count: number;
  readonly end: number;
}

function* shorter(calls: Op[], from: Shrunk | undefined): IterableIterator<fc.Value<Op[]>> {
  let end = from?.end ?? calls.length;
  for (let count = from?.count ?? Math.ceil(calls.length / 2); count > 0; count = Math.floor(count / 2)) {
    for (; end > 0; end -= count) {
      const start = Math.max(end - count, 0);
      yield new fc.Value([...calls.slice(0, start), ...calls.slice(end)], { count, end: start } satisfies Shrunk);
    }
    end = calls.length;
  }
}
