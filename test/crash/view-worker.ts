/**
 * Changes a container through a view until it is killed: view-worker.ts STORE SEED FIRST
 *
 * A line for each call that is made, "begin N", and for its answer: "done N", or "refused N" where a filesystem would refuse
 * it too; "fold" and "folded" for what reads the container meanwhile.
 */
import { writeSync } from "node:fs";
import { commit, openContainer, status, Store } from "../../src/index.ts";
import { callOf, viewSide } from "./view-calls.ts";
import type { Call } from "./view-calls.ts";

const [directory = "", seedText = "1", firstText = "0"] = process.argv.slice(2);
const seed = Number(seedText);
let number = Number(firstText);

await using store = await Store.open(directory, { command: "worker" });
const context = { store, command: "worker" };
let view = await openContainer(context, { name: "web" });
say("ready");

for (let round = seed; ; round++) {
  const calls = someCalls();
  const made = calls.map((call) => make(call));
  let fold: Promise<unknown> = Promise.resolve();
  if (round % 7 === 0) fold = readContainer(() => status(context, { name: "web" }));
  if (round % 31 === 0)
    fold = fold.then(() => readContainer(() => commit(context, { name: "web", layer: "latest", replace: true })));
  if (round % 3 === 0) await fold;
  await Promise.all([...made, fold]);
  if (round % 23 === 0) {
    await view[Symbol.asyncDispose]();
    view = await openContainer(context, { name: "web" });
  }
}

/** As many as can be made at once; or one that takes several calls. */
function someCalls(): [number: number, call: Call][] {
  const calls: [number, Call][] = [];
  while (calls.length < 6) {
    const call = callOf(seed, number);
    if (!call.isSingle && calls.length > 0) break;
    calls.push([number++, call]);
    if (!call.isSingle) break;
  }
  return calls;
}

async function make([number, call]: [number, Call]): Promise<void> {
  say(`begin ${number}`);
  const answer = await call.make(viewSide(view)).then(
    () => "done",
    (error: unknown) => {
      if (!(error instanceof Error) || error.cause !== undefined || !("syscall" in error)) throw error;
      return "refused";
    },
  );
  say(`${answer} ${number}`);
}

async function readContainer(read: () => Promise<unknown>): Promise<void> {
  say("fold");
  // Something else was changed between the fold and the commit: it says so, and changes nothing.
  await read().catch((error: unknown) => {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "REFUSED") throw error;
  });
  say("folded");
}

/** At once: what is not written when the kill comes was not acknowledged. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}
