/** What a test says of a state. */
export type Verdict = "good" | "bad" | "skipped";

/** Between a good and a bad state, none of those in between was tested with another answer than "skipped". */
export interface Narrowed {
  /** The newest that is good. */
  readonly good: number;
  /** The oldest that is bad. It is the first if it follows the good one. */
  readonly bad: number;
}

/**
 * Looks among states 0 (good) to `count` - 1 (bad) for the first that is bad: in the middle of those that may still tell, so that log2
 * of `count` answers suffice however many are skipped between them.
 */
export async function findFirstBad(count: number, test: (state: number) => Promise<Verdict>): Promise<Narrowed> {
  let [good, bad] = [0, count - 1];
  let untested = Array.from({ length: Math.max(count - 2, 0) }, (_, index) => index + 1);
  for (;;) {
    const state = untested[(untested.length - 1) >> 1];
    if (state === undefined) return { good, bad };
    const verdict = await test(state);
    if (verdict === "good") good = state;
    else if (verdict === "bad") bad = state;
    untested = untested.filter((other) => other > good && other < bad && other !== state);
  }
}
