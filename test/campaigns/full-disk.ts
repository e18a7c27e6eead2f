import { parseArgs } from "node:util";
import { failureText } from "../../src/cli/failure.ts";
import { fillMany, FULL_DISK_VERBS } from "./full-disk-levels.ts";

/*
 * Does every command on a small filesystem at each fill level, in steps of 1 MB from full to where it succeeds:
 *
 *   npm run campaign:full -- [--filesystem ext4] [--megabytes 200] [--verb VERB] [--step 1] [--levels 60]
 *
 * Needs root, and loop devices. It ends with 1 at the first command that neither was done nor failed as it should.
 */
const { values } = parseArgs({
  options: {
    filesystem: { type: "string", multiple: true, default: ["ext4"] },
    megabytes: { type: "string", default: "200" },
    verb: { type: "string", multiple: true },
    step: { type: "string", default: "1" },
    levels: { type: "string", default: "60" },
  },
});
// A few blocks are enough to begin with.
const levels = [0, 0.02, ...Array.from({ length: Number(values.levels) }, (_, i) => (i + 1) * Number(values.step))];
let attempts = 0;
for (const filesystem of values.filesystem) {
  if (filesystem !== "ext4" && filesystem !== "xfs" && filesystem !== "btrfs") continue;
  await fillMany({
    filesystem,
    megabytes: Number(values.megabytes),
    verbs: values.verb ?? FULL_DISK_VERBS,
    levels,
    onVerb: (verb, { succeededAt, failures }) => {
      attempts += failures.length + 1;
      const [first] = failures;
      const said = first === undefined ? "" : `; at 0: ${failureText(first)}`;
      console.log(`${filesystem}: ${verb}: done with ${succeededAt} MB, ${failures.length} failed before${said}`);
    },
  });
}
console.log(`${attempts} commands: each was done, or said that there is no room and changed nothing`);
