import { test } from "node:test";
import { killMany } from "../campaigns/cut-kills.ts";
import type { Tally } from "../campaigns/cut-kills.ts";
import { requireRoot } from "../support/requirements.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** More of them: npm run campaign:kill */
const KILLS = Number(process.env["DELTA0_KILLS"] ?? 100);

test(`crash: after each of ${KILLS} SIGKILLs of any command the store opens, and all that was acknowledged is there and whole`, async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  const seed = Date.now() % 1_000_000;
  t.diagnostic(`seed ${seed}`);
  t.diagnostic(shown(await killMany(directory.path, { count: KILLS, from: seed })));
});

test("crash: a collection that is killed leaves all that names reach, and after two more nothing else", async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  const verbs = ["gc", "rm --now"];
  t.diagnostic(shown(await killMany(directory.path, { count: Math.ceil(KILLS / 16), verbs })));
});

function shown(tally: Tally): string {
  return `killed inside: ${Array.from(tally, ([verb, count]) => `${verb} ${count}`).join(", ")}`;
}
