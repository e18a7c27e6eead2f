import fc from "fast-check";
import { parseIdMap } from "../../src/model/id-map.ts";
import type { IdMap } from "../../src/model/id-map.ts";

/** Up to three ranges of each kind with gaps between them, in another order outside than inside. */
export const idMaps: fc.Arbitrary<IdMap> = fc
  .tuple(ranges("u"), ranges("g"))
  .map(([uids, gids]) => parseIdMap([...uids, ...gids]));

function ranges(kind: "u" | "g"): fc.Arbitrary<string[]> {
  const range = fc.record({ count: fc.integer({ min: 1, max: 70_000 }), gap: fc.integer({ min: 0, max: 10 }) });
  return fc.tuple(fc.array(range, { minLength: 1, maxLength: 3 }), fc.boolean()).map(([parts, backwards]) => {
    let container = 0;
    return parts.map(({ count, gap }, i) => {
      const place = backwards ? parts.length - i : i + 1;
      const line = `${kind}:${container}:${place * 100_000}:${count}`;
      container += count + gap;
      return line;
    });
  });
}
