import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { defaultLxcPath } from "../../src/lxc/lxc-programs.ts";
import { temporaryDirectory } from "../support/temporary.ts";

test("lxc path: it is what lxc-config says, whether that is run or not", async (t) => {
  const { PATH = "" } = process.env;
  t.after(() => (process.env["PATH"] = PATH));
  const { status, stdout } = spawnSync("lxc-config", ["lxc.lxcpath"], { encoding: "utf8" });
  assert.equal(defaultLxcPath(), status === 0 ? stdout.trim() : undefined);

  await using at = await temporaryDirectory();
  writeFileSync(`${at.path}/lxc-config`, '#!/bin/sh\n[ "$*" = lxc.lxcpath ] && echo /somewhere/else\n');
  chmodSync(`${at.path}/lxc-config`, 0o755);
  process.env["PATH"] = `${at.path}:${PATH}`;
  assert.equal(defaultLxcPath(), "/somewhere/else");

  process.env["PATH"] = `${at.path}/none`;
  assert.equal(defaultLxcPath(), undefined);
});
