import { main } from "./command-line.ts";

// Open pipes and files of the operation that was given up would keep the process alive.
process.exit(await main(process.argv.slice(2)));
