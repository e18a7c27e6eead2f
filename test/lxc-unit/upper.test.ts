import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  beginCapture,
  captureIsWhole,
  finishCapture,
  isUncaptured,
  removeUpper,
  replaceUpper,
} from "../../src/lxc/upper.ts";
import { requireRoot } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

function makeUpper(parent: string, content: string): string {
  const upper = `${parent}/delta0`;
  mkdirSync(`${upper}/sub`, { recursive: true });
  writeFileSync(`${upper}/sub/file`, content);
  return upper;
}

test("capture: what was never mounted has nothing to capture", async () => {
  await using directory = await temporaryDirectory();
  const upper = makeUpper(directory.path, "");
  assert.equal(isUncaptured(upper), false);
  assert.equal(beginCapture(upper), false);
  finishCapture(upper);
  assert.deepEqual(readdirSync(directory.path), ["delta0"]);
});

test("capture: until it is finished the upper counts as not captured, by whatever it was interrupted", async () => {
  await using directory = await temporaryDirectory();
  const upper = makeUpper(directory.path, "");
  mkdirSync(`${directory.path}/work/work`, { recursive: true });
  assert.equal(beginCapture(upper), true);
  assert.deepEqual(readdirSync(directory.path).sort(), ["capturing", "delta0"]);
  assert.deepEqual([isUncaptured(upper), captureIsWhole(upper)], [true, true]);
  assert.equal(beginCapture(upper), true);
  assert.equal(captureIsWhole(upper), true);
  finishCapture(upper);
  assert.deepEqual([isUncaptured(upper), captureIsWhole(upper)], [false, false]);
  assert.deepEqual(readdirSync(directory.path), ["delta0"]);
});

test("capture: a mount while it is under way is noticed, and the next capture begins anew", async () => {
  await using directory = await temporaryDirectory();
  const upper = makeUpper(directory.path, "");
  mkdirSync(`${directory.path}/work`);
  assert.equal(beginCapture(upper), true);
  mkdirSync(`${directory.path}/work`);
  assert.equal(captureIsWhole(upper), false);
  assert.equal(beginCapture(upper), true);
  assert.equal(captureIsWhole(upper), true);
  // One that begins after the reading and before the end stays to be captured.
  mkdirSync(`${directory.path}/work`);
  finishCapture(upper);
  assert.equal(isUncaptured(upper), true);
});

test("upper: another is put in its place as a whole, or not at all", async () => {
  await using directory = await temporaryDirectory();
  const upper = makeUpper(directory.path, "old");
  const failing = replaceUpper(upper, (path) => {
    mkdirSync(path);
    throw new Error("on purpose");
  });
  await assert.rejects(failing, /on purpose/);
  assert.equal(readFileSync(`${upper}/sub/file`, "utf8"), "old");
  await replaceUpper(upper, async (path) => {
    assert.ok(!existsSync(path));
    mkdirSync(path);
    writeFileSync(`${path}/new`, "");
  });
  assert.deepEqual(readdirSync(directory.path), ["delta0"]);
  assert.deepEqual(readdirSync(upper), ["new"]);
  removeUpper(upper);
  removeUpper(upper);
  assert.deepEqual(readdirSync(directory.path), []);
  await replaceUpper(upper, (path) => mkdirSync(path));
  assert.deepEqual(readdirSync(directory.path), ["delta0"]);
});

test("upper: while it is mounted, it is neither captured nor replaced nor removed", async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  const upper = makeUpper(directory.path, "");
  for (const name of ["lower", "work", "merged"]) mkdirSync(`${directory.path}/${name}`);
  const options = `lowerdir=${directory.path}/lower,upperdir=${upper},workdir=${directory.path}/work`;
  await run("mount", ["-t", "overlay", "overlay", "-o", options, `${directory.path}/merged`]);
  assert.throws(() => beginCapture(upper), { code: "REFUSED" });
  assert.throws(() => removeUpper(upper), { code: "REFUSED" });
  await assert.rejects(
    replaceUpper(upper, (path) => mkdirSync(path)),
    { code: "REFUSED" },
  );
  assert.ok(existsSync(`${upper}/sub/file`));
  await run("umount", [`${directory.path}/merged`]);
  assert.equal(beginCapture(upper), true);
  await run("mkdir", [`${directory.path}/work`]);
  await run("mount", ["-t", "overlay", "overlay", "-o", options, `${directory.path}/merged`]);
  assert.equal(captureIsWhole(upper), false);
  await run("umount", [`${directory.path}/merged`]);
  assert.equal(captureIsWhole(upper), false);
  assert.equal(beginCapture(upper), true);
  assert.equal(captureIsWhole(upper), true);
});
