import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { create, list } from "../../src/index.ts";
import { run } from "../support/run.ts";
import { openTestHost } from "./support.ts";

test("list: what other people have in an LXC path neither stops nor hangs it", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await create(context, { source: at.source, name: "web", lxcPath });
  mkdirSync(`${lxcPath}/directory/config`, { recursive: true });
  mkdirSync(`${lxcPath}/fifo`);
  await run("mkfifo", [`${lxcPath}/fifo/config`]);
  await run("ln", ["-s", "config", `${lxcPath}/fifo/loop`]);
  await run("touch", [`${lxcPath}/file`]);
  const names = (await list(context)).map(({ name }) => name);
  assert.deepEqual(names, ["web"]);
});
