import assert from "node:assert/strict";
import { test } from "node:test";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, lxcHost, SLEEP } from "./support.ts";

const ROUNDS = 100;
const FILES = 60;

/**
 * STOPPED does not mean that post-stop is over: a start races against the capture. Each run of the container rewrites all
 * files with one number, so a mix of two states would show as two numbers.
 */
test(`lxc: started ${ROUNDS} times against post-stop, what is captured is always a state that there was`, async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await lxcHost();
  await busyboxRootfs(`${at.path}/rootfs`);
  await at.ok("import", `${at.path}/rootfs`, "base");
  await at.ok("create", "base", "web", ...SLEEP);
  const stopped = async (): Promise<void> => {
    while ((await at.state("web")) !== "STOPPED") await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const captured = async (): Promise<string[]> => {
    const files = Array.from({ length: FILES }, (_, i) => `web:/data/${i}`);
    const { code, stdout } = await at.delta0(["cat", "-q", ...files]);
    // Not found: no stop so far was long enough for a capture.
    if (code === 4) return [];
    assert.equal(code, 0);
    return [...new Set(stdout.trim().split("\n"))];
  };

  await at.lxc("lxc-start", "web");
  await at.attach("web", `mkdir /data && for i in $(seq 0 ${FILES - 1}); do echo 0 >/data/$i; done`);
  let overtaken = 0;
  let last = -1;
  for (let round = 1; round <= ROUNDS; round++) {
    const stopping = at.lxc("lxc-stop", "web", "-k");
    await stopped();
    // The post-stop hook of the last run is at work, or about to be.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 400));
    await at.lxc("lxc-start", "web");
    await at.attach("web", `for i in $(seq 0 ${FILES - 1}); do echo ${round} >/data/$i; done`);
    await stopping;
    // Whatever was captured so far, of a container that runs now, is one state.
    const numbers = await captured();
    assert.ok(numbers.length <= 1, `a mix in round ${round}: ${numbers.join()}`);
    const number = Number(numbers[0] ?? -1);
    assert.ok(number >= last && number < round, `round ${round} shows ${number} after ${last}`);
    if (number < round - 1) overtaken++;
    last = number;
  }
  await at.lxc("lxc-stop", "web", "-k");
  assert.deepEqual(await captured(), [String(ROUNDS)]);
  assert.equal(await at.mounted("web", (view) => run("sh", ["-c", `cat ${view}/data/* | sort -u`])), `${ROUNDS}\n`);
  t.diagnostic(`${overtaken} of ${ROUNDS} looks found that a capture had been overtaken by a start`);
});
