import assert from "node:assert/strict";
import { test } from "node:test";
import { requireCommands } from "../support/requirements.ts";
import { race } from "./race.ts";

/** `npm run campaign:race` takes as long as it is told. */
const MS = 3000;

test("race: directories that are swapped for symlinks under an import, a capture and an export lead nowhere outside", async (t) => {
  if (!requireCommands(t, "python3")) return;
  for (const { whole, refused } of Object.values(await race(MS))) assert.ok(whole + refused > 0);
});
