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
 * Looks among states 0 (good) to `count` - 1 (bad) for the first that is bad, by halves. What was skipped is passed over to its
 * nearest neighbour that can tell.
 */
export async function findFirstBad(count: number, test: (state: number) => Promise<Verdict>): Promise<Narrowed> {
  let [good, bad] = [0, count - 1];
  const skipped = new Set<number>();
  for (;;) {
    const state = nearestToMiddle(good, bad, skipped);
    if (state === undefined) return { good, bad };
    const verdict = await test(state);
    if (verdict === "good") good = state;
    else if (verdict === "bad") bad = state;
    else skipped.add(state);
  }
}

function nearestToMiddle(good: number, bad: number, skipped: ReadonlySet<number>): number | undefined {
  const middle = Math.floor((good + bad) / 2);
  for (let away = 0; away < bad - good; away++)
    for (const state of [middle - away, middle + away])
      if (state > good && state < bad && !skipped.has(state)) return state;
  return undefined;
}
