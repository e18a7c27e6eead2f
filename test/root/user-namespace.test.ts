import assert from "node:assert/strict";
import { test } from "node:test";
import { userNamespace, type UserNamespace } from "../../src/sys/user-namespace.ts";
import { requireCommands } from "../support/requirements.ts";
import { run } from "../support/run.ts";

test("user namespace: there is none in the host's first; in another its ids are as lxc-usernsexec takes them", async (t) => {
  if (!requireCommands(t, "unshare")) return;
  assert.equal(userNamespace(), undefined);
  const module = new URL("../../src/sys/user-namespace.ts", import.meta.url).href;
  const script = `import { userNamespace } from ${JSON.stringify(module)}; console.log(JSON.stringify(userNamespace()))`;
  const node = [process.execPath, "--import", import.meta.resolve("tsx"), "--input-type=module", "-e", script];
  const said = JSON.parse(await run("unshare", ["--user", "--map-root-user", ...node])) as UserNamespace;
  assert.deepEqual(said, { ranges: ["u:0:0:1", "g:0:0:1"], uidMap: "0 0 1" });
});
