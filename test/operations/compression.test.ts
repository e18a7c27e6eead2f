import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { configure, exportTree, fsck, importLayer } from "../../src/index.ts";
import { compareManifests } from "../support/compare.ts";
import { openTestHost } from "./support.ts";

/** Text that a higher level makes smaller: words in no order, each a few times. */
function words(seed: number): string {
  let state = seed;
  const word = (): string => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return ((state >>> 8) % 4096).toString(36);
  };
  return Array.from({ length: 60_000 }, word).join(" ");
}

test("compression.level: what is stored from then on is as large as it makes it, and reads back; no other level is taken", async () => {
  await using at = await openTestHost();
  const { context } = at;
  const stored: number[] = [];
  for (const [i, level] of ["1", "", "19"].entries()) {
    await configure(context, { key: "compression.level", value: level });
    const source = `${at.path}/words${i}`;
    mkdirSync(source);
    // Of its own, and as long: what is there already would not be stored again.
    writeFileSync(`${source}/file`, words(i + 2));
    const { newBytes } = await importLayer(context, { source, name: `words${i}` });
    stored.push(newBytes);
    await exportTree(context, { ref: `words${i}`, target: `${at.path}/out${i}` });
    assert.deepEqual(await compareManifests(source, `${at.path}/out${i}`), []);
  }
  const [fastest = 0, usual = 0, smallest = 0] = stored;
  assert.ok(fastest > usual * 1.01 && usual > smallest * 1.01, `${fastest}, ${usual}, ${smallest} bytes`);
  const { damage } = await fsck(context, { deep: true });
  assert.deepEqual(damage, []);
  for (const value of ["0", "20", "-1", "3.5", "fast"])
    await assert.rejects(configure(context, { key: "compression.level", value }), { code: "USAGE" });
});
