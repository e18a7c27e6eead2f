import { parseArgs } from "node:util";
import { temporaryDirectory } from "../support/temporary.ts";
import { killMany } from "./cut-kills.ts";

/*
 * Kills all commands that change something at random times, and checks the store after each kill:
 *
 *   npm run campaign:kill -- --kills 2000 [--from SEED] [--verb VERB] [--sites 2]
 *
 * With several sites as many stores are worked on at once. It ends with 1 at the first kill that leaves what must not be.
 */
const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "2000" },
    from: { type: "string", default: "1" },
    verb: { type: "string", multiple: true },
    sites: { type: "string", default: "1" },
  },
});
const [kills, from, sites] = [Number(values.kills), Number(values.from), Number(values.sites)];
const began = performance.now();
let done = 0;
let inside = 0;
const share = Math.ceil(kills / sites);
const tallies = await Promise.all(
  Array.from({ length: sites }, async (_, i) => {
    await using directory = await temporaryDirectory();
    return await killMany(directory.path, {
      count: share,
      from: from + i * share,
      ...(values.verb && { verbs: values.verb }),
      onKill: (_kill, _verb, isInside) => {
        done++;
        if (isInside) inside++;
        if (done % 50 === 0)
          console.log(
            `${done} kills, ${inside} inside of a command, ${((performance.now() - began) / done).toFixed(0)} ms each`,
          );
      },
    });
  }),
);
const total = new Map<string, number>();
for (const tally of tallies) for (const [verb, count] of tally) total.set(verb, (total.get(verb) ?? 0) + count);
console.log(
  Array.from(total, ([verb, count]) => `${verb} ${count}`)
    .sort()
    .join(", "),
);
console.log(`${done} kills: nothing that was acknowledged is lost, all names are whole, nothing half-made is left`);
