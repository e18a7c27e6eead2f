import { parseArgs } from "node:util";
import { isRoot } from "../support/run.ts";
import type { KernelOptions } from "./kernel-overlay.ts";
import { assertAgreement } from "./property.ts";
import { Scratch } from "./scratch.ts";

/*
 * Random sequences by the thousand. As root the kernel's overlay takes part in three of four seeds. All it did:
 *
 *   npm run campaign -- --sequences 5000 --length 300
 *
 * It goes on after a difference and ends with those seeds, and with 1 if there are any. SIGINT and SIGTERM stop it after the
 * seed that it is at; `--from SEED` goes on from there. A seed says it all: the same one runs the same sequences again.
 */
const { values } = parseArgs({
  options: {
    sequences: { type: "string", default: "5000" },
    length: { type: "string", default: "300" },
    from: { type: "string", default: "1" },
  },
});
const [sequences, length, from] = [Number(values.sequences), Number(values.length), Number(values.from)];
const kernels: readonly (KernelOptions | undefined)[] = isRoot()
  ? [undefined, "", "redirect_dir=on", "index=on,redirect_dir=on"]
  : [undefined];
/** Sequences of one seed. */
const BATCH = 10;

let stopped = false;
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => (stopped = true));

const failed: number[] = [];
for (let seed = from; (seed - 1) * BATCH < sequences && !isStopped(); seed++) {
  const kernel = kernels[seed % kernels.length];
  const began = Date.now();
  try {
    await runSeed(seed, kernel);
  } catch (error) {
    failed.push(seed);
    console.log(error);
  }
  const name = kernel === undefined ? "no kernel" : `kernel "${kernel}"`;
  const each = ((Date.now() - began) / BATCH).toFixed(0);
  console.log(
    `seed ${seed}: ${seed * BATCH} of ${sequences} sequences, ${name}, ${each} ms each, ${failed.length} failed`,
  );
}
if (failed.length > 0) {
  console.log(`seeds with differences: ${failed.join(" ")}`);
  process.exitCode = 1;
}

/** A function, since an `await using` in a loop throws again what it once threw, as esbuild translates it. */
async function runSeed(seed: number, kernel: KernelOptions | undefined): Promise<void> {
  // A store of its own for each: it keeps what its containers were.
  await using scratch = await Scratch.make();
  await assertAgreement(scratch, { seed, sequences: BATCH, length, kernel });
}

function isStopped(): boolean {
  return stopped;
}
