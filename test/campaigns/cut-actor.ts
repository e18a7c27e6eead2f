/**
 * Does commands of one kind in a store, until it is killed or cuts the power itself: cut-actor.ts PATH ELSEWHERE SEED VERB [MOUNTPOINT STEP]
 *
 * It prints what it is about to do and what it has done, and waits for a line on its standard input before it begins.
 */
import { once } from "node:events";
import { Store } from "../../src/index.ts";
import { NAME_COMMANDS } from "./cut-commands.ts";
import { FILE_COMMANDS } from "./cut-file-commands.ts";
import { Hand, Places } from "./cut-hand.ts";
import { removeAll } from "./cut-makers.ts";
import { StepCutter } from "./cut-steps.ts";

const MAX_COMMANDS = 100;
const [path = "", elsewhere = "", seed = "1", verb = "", mountPoint, step = "0"] = process.argv.slice(2);
const command = NAME_COMMANDS[verb] ?? FILE_COMMANDS[verb];
if (command === undefined) throw new Error(`no command ${verb}`);
await once(process.stdin, "data");
const places = new Places(path, elsewhere);
const store = await Store.open(places.store, { create: true, command: "actor" });
const hand = await Hand.of(store, places, Number(seed));
for (const [kind, most] of [
  ["c", 5],
  ["p", 4],
  ["l", 5],
] as const) {
  const names = hand.named(kind);
  if (names.length > most) await removeAll(hand, names.slice(0, names.length - most + 2), hand.random(3) === 0);
}
const cutter = mountPoint === undefined ? undefined : new StepCutter(mountPoint, Number(step));
if (cutter !== undefined) {
  hand.onBegin = (begun) => {
    if (begun === verb) cutter.begin();
  };
  hand.steps = () => cutter.steps;
}
for (let i = 1; ; i++) {
  await command(hand);
  // A command that found nothing to do has no steps.
  if (i === MAX_COMMANDS) cutter?.cut();
}
