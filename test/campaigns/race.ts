import { parseArgs } from "node:util";
import { race } from "../root/race.ts";

// A process swaps directories and files for symlinks to outside under imports, captures and exports:
//   npm run campaign:race -- --seconds 60
const { values } = parseArgs({ options: { seconds: { type: "string" } } });
console.table(await race((Number(values.seconds ?? 60) * 1000) / 3));
