import assert from "node:assert/strict";
import { test } from "node:test";
import { fillMany, FULL_DISK_VERBS } from "../campaigns/full-disk-levels.ts";
import { requireLoop } from "../support/requirements.ts";

test("full disk: each command is done or says that there is no room and changes nothing; what frees room does; all can be read", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  const succeeded = new Set<string>();
  // The whole of it takes minutes: npm run campaign:full. A day's share of the commands, and those that free room.
  const day = Math.floor(Date.now() / 86_400_000);
  const verbs = FULL_DISK_VERBS.filter((verb, i) => ALWAYS.has(verb) || i % SHARES === day % SHARES);
  await fillMany({
    filesystem: "ext4",
    megabytes: 200,
    verbs,
    levels: [0, 0.02, 9, 60],
    onVerb: (verb, { succeededAt }) => {
      if (succeededAt !== undefined) succeeded.add(verb);
    },
  });
  assert.deepEqual(
    verbs.filter((verb) => !succeeded.has(verb)),
    [],
  );
});

const SHARES = 4;
const ALWAYS: ReadonlySet<string> = new Set(["import", "clone", "commit", "gc", "rm --now"]);
