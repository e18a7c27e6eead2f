#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";

// What is built starts here: main.cjs, beside the command in one file, bundle.cjs, and V8's code of it. Compiling that file anew takes
// longer than most commands. The code is of the Node that made it; any other compiles.

interface Bundle {
  main?: (argv: readonly string[]) => Promise<number>;
}

const self = fileURLToPath(import.meta.url);
const argv = process.argv.slice(2);

if (argv.length === 1 && ["--version", "-V"].includes(argv[0] ?? "")) {
  const { version } = JSON.parse(readFileSync(join(dirname(self), "../../package.json"), "utf8")) as {
    version: string;
  };
  process.stdout.write(`${version}\n`);
} else {
  void load(join(dirname(self), "bundle.cjs"))
    .main?.(argv)
    // Open pipes and files of an operation that was given up would keep the process alive.
    .then((exit) => process.exit(exit));
}

function load(file: string): Bundle {
  const cachedData = tryRead(`${file}.code`);
  const script = new Script(readFileSync(file, "utf8"), { filename: file, ...(cachedData && { cachedData }) });
  const module: { exports: Bundle } = { exports: {} };
  const run = script.runInThisContext() as (require: NodeJS.Require, module: { exports: Bundle }, file: string) => void;
  run(createRequire(file), module, file);
  return module.exports;
}

function tryRead(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}
