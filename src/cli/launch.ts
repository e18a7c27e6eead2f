#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";

// What is built starts here: main.cjs, beside the command in one file, bundle.cjs, and V8's code of it. Compiling that file anew takes
// longer than most commands. The code is of the Node that made it, with the same flags of V8; any other compiles.

interface Bundle {
  main?: (argv: readonly string[]) => Promise<number>;
}

/** Parts of Node that take 6 ms to load, and of which no command needs all. What is called often is not among them. */
const LAZY =
  /^(node:)?(child_process|crypto|fs\/promises|net|readline|readline\/promises|stream|stream\/promises|util|v8|worker_threads|zlib)$/;

/**
 * V8 optimises what has run a while, on another core: of a listing of ten thousand names that was a quarter of the work, of an import of
 * seconds a sixth. 15 times as long a while is still only milliseconds of each function. `.ci/bundle.mjs` has the same.
 */
const V8_FLAGS = "--interrupt-budget=1000000";

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
  process.getBuiltinModule("node:v8").setFlagsFromString(V8_FLAGS);
  const cachedData = tryRead(`${file}.code`);
  // It is ASCII: as UTF-8 it would take three times as long.
  const source = readFileSync(file).toString("latin1");
  const script = new Script(source, { filename: file, ...(cachedData && { cachedData }) });
  const module: { exports: Bundle } = { exports: {} };
  const run = script.runInThisContext() as (require: Require, module: { exports: Bundle }, file: string) => void;
  run(lazily(createRequire(file)), module, file);
  return module.exports;
}

type Require = (id: string) => unknown;

/** Loads these once something of them is asked for. */
function lazily(require: Require): Require {
  return (id) =>
    LAZY.test(id)
      ? new Proxy({}, { get: (_, name) => Reflect.get(require(id) as object, name) as unknown })
      : require(id);
}

function tryRead(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}
