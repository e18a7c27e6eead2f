import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { documentOf } from "../support/cli.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, lxcHost, SLEEP } from "./support.ts";

test("unexport --stopped: stopped containers take their chunks alone, and start with all that they had", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await lxcHost();
  await busyboxRootfs(`${at.path}/rootfs`);
  await at.ok("import", `${at.path}/rootfs`, "base");
  const mebibyte = 2 ** 20;
  const used = async (path: string): Promise<number> => Number((await run("du", ["-sB1", path])).split("\t")[0]);

  // Each is a clone of the one before with more in it, as it was started.
  const names = ["one", "two", "three"];
  for (const [i, name] of names.entries()) {
    await at.ok("clone", names[i - 1] ?? "base", name, ...SLEEP);
    await at.ok("start", name);
    await at.attach(name, `head -c 8388608 /dev/urandom >/data${i}; rm -f /data${i - 2}`);
    await at.ok("stop", "-t", "0", name);
  }
  await at.ok("clone", "three", "running", ...SLEEP);
  await at.ok("start", "running");
  const digests = (): Promise<unknown[]> =>
    Promise.all(names.map((name) => at.ok("show", name, "--json").then((shown) => documentOf(shown)["digest"])));
  const before = await digests();
  const exportsBefore = (documentOf(await at.ok("exports", "--json"))["items"] as unknown[]).length;

  const refused = await at.delta0(["unexport", "--stopped", "running"]);
  assert.equal(refused.code, 6);
  await at.ok("unexport", "--stopped");
  for (const name of names) assert.ok(!existsSync(`${at.lxcPath}/${name}/delta0`), name);
  assert.ok(existsSync(`${at.lxcPath}/running/delta0`));
  const exportsLeft = documentOf(await at.ok("exports", "--json"))["items"] as { users: string[] }[];
  assert.ok(exportsLeft.length <= exportsBefore);
  assert.ok(
    exportsLeft.every(({ users }) => users.includes("running")),
    JSON.stringify(exportsLeft),
  );

  await at.ok("stop", "-t", "0", "running");
  await at.ok("rm", "running");
  await at.ok("unexport", "--stopped");
  await at.ok("unexport");
  assert.deepEqual(readdirSync(`${at.store}/private/exports`), []);
  assert.ok((await used(at.lxcPath)) < mebibyte);
  assert.deepEqual(await digests(), before);

  for (const [i, name] of names.entries()) {
    await at.ok("start", name);
    assert.equal(
      await at.attach(name, `cd /; ls -d data*; cat data${i} | wc -c`),
      `${[i - 1, i]
        .filter((n) => n >= 0)
        .map((n) => `data${n}\n`)
        .join("")}8388608\n`,
    );
    await at.ok("stop", "-t", "0", name);
  }
  assert.deepEqual(await digests(), before);
});
