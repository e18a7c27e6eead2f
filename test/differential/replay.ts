import { readFileSync } from "node:fs";
import { Scratch } from "./scratch.ts";
import { runSequence, type Sequence, type SequenceOptions } from "./sequence.ts";

// One sequence as a failure printed it, from standard input: node --import tsx test/differential/replay.ts <sequence.json
const { kernel, ...sequence } = JSON.parse(readFileSync(0, "utf8")) as Sequence & SequenceOptions;
await using scratch = await Scratch.make();
await runSequence(scratch, sequence, { kernel });
console.log("all agree");
