import { parseArgs } from "node:util";
import { cutMany } from "./cut-power.ts";

/*
 * Cuts the power at every step of commands, on ext4 and on xfs, and checks the store after each cut:
 *
 *   npm run campaign:power -- --cuts 500 [--from SEED] [--verb VERB] [--filesystem ext4]
 *
 * Needs root, and loop devices. It ends with 1 at the first cut that leaves what must not be.
 */
const { values } = parseArgs({
  options: {
    cuts: { type: "string", default: "500" },
    from: { type: "string", default: "1" },
    verb: { type: "string", multiple: true },
    filesystem: { type: "string", multiple: true, default: ["ext4", "xfs"] },
  },
});
const filesystems = values.filesystem.filter((kind) => kind === "ext4" || kind === "xfs");
const share = Math.ceil(Number(values.cuts) / filesystems.length);
for (const [i, filesystem] of filesystems.entries()) {
  const steps = new Map<string, number>();
  let stepped = 0;
  await cutMany({
    filesystem,
    count: share,
    from: Number(values.from) + i * share,
    ...(values.verb && { verbs: values.verb }),
    onCut: (cut, verb, at) => {
      if (at !== undefined) stepped++;
      if (at !== undefined) steps.set(verb, at.of);
      if (cut % 20 === 0) console.log(`${filesystem}: ${cut} cuts, ${stepped} before a step`);
    },
  });
  console.log(`steps: ${Array.from(steps, ([verb, of]) => `${verb} ${of}`).join(", ")}`);
  console.log(`${filesystem}: ${share} cuts: what was acknowledged is there, and all that has a name is whole`);
}
