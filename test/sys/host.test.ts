import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { bootId, capabilities, processStart } from "../../src/sys/host.ts";
import { asNobody, rootOnly } from "./support.ts";

test("host: boot id and process start name a process for good", () => {
  assert.match(bootId(), /^[0-9a-f-]{36}$/);
  assert.match(processStart(process.pid) ?? "", /^[0-9]+$/);
  assert.equal(processStart(process.pid), processStart(process.pid));
  assert.equal(processStart(2 ** 22 + 1), undefined);
});

test("host: a process that calls itself `) R 1 (` does not confuse its start", () => {
  process.title = ") R 1 (x";
  const expected = readFileSync("/proc/self/stat", "latin1").split(") ").at(-1)?.split(" ")[19];
  assert.equal(processStart(process.pid), expected);
});

test("host: capabilities are the effective ones", rootOnly, () => {
  for (const name of ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"]) assert.ok(capabilities().has(name), name);
  asNobody(() => assert.equal(capabilities().size, 0));
});

test("host: importing all of sys loads no native library", () => {
  const folder = fileURLToPath(new URL("../../src/sys/", import.meta.url));
  const script = `
    await Promise.all(${JSON.stringify(readdirSync(folder))}.map((file) => import(${JSON.stringify(folder)} + file)));
    console.log((await import("node:fs")).readFileSync("/proc/self/maps", "utf8").includes("koffi"));`;
  const said = execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script]);
  assert.equal(said.toString(), "false\n");
});
