import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { create, openContainer, openView, status, Store } from "../../src/index.ts";
import { callOf, directorySide, makeSource, readDirectory, readView } from "../crash/view-calls.ts";
import { loopFilesystem, type LoopFilesystem } from "../support/loop.ts";
import { requireLoop } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Of each kind; more of them: DELTA0_CUTS=100. */
const CUTS = Number(process.env["DELTA0_CUTS"] ?? 4);
const SCRIPT = fileURLToPath(new URL("power-cut-view.ts", import.meta.url));

for (const how of ["sync", "status", "commit", "nothing"]) {
  const what = how === "nothing" ? "is as it was after one of its calls" : `has all that was before its last ${how}`;
  test(`power cut: a container ${what}, and of what came then a beginning`, async (t) => {
    if (!requireLoop(t, "ext4")) return;
    await using filesystem = await loopFilesystem("ext4", 256);
    await using elsewhere = await temporaryDirectory();
    const [source, mirror] = [`${elsewhere.path}/source`, `${elsewhere.path}/mirror`];
    mkdirSync(source);
    makeSource(source);
    await run("cp", ["-a", source, mirror]);
    const directory = `${filesystem.path}/store`;
    {
      await using store = await Store.open(directory, { create: true });
      await create({ store, command: "test" }, { source, name: "web", noLxc: true });
    }
    const seed = Date.now() % 1_000_000;
    t.diagnostic(`seed ${seed}`);
    let made = 0;
    for (let cut = 1; cut <= CUTS; cut++) {
      const lines = await writeAndCut(filesystem, [how, String(seed), String(made), String(50 + Math.random() * 500)]);
      const last = Number(lines.at(-1)?.slice(5) ?? made - 1) + 1;
      const safe = Number(lines.findLast((line) => line.startsWith("safe "))?.slice(5) ?? made - 1) + 1;
      const makeNext = async (): Promise<void> => {
        await callOf(seed, made++)
          .make(directorySide(mirror))
          .catch(() => undefined);
      };
      while (made < safe) await makeNext();
      await using store = await Store.open(directory);
      const context = { store, command: "test" };
      await using view = await openContainer(context, { name: "web" });
      const found = readView(view);
      while (made <= last && !isEqual(found, readDirectory(mirror))) await makeNext();
      assert.ok(
        made <= last,
        `cut ${cut}: the state is none that was between ${safe} and ${last}: ${found.join("\n")}`,
      );
      await status(context, { name: "web" });
      assert.deepEqual(readView(await openView(context, { ref: "web" })), found);
    }
  });
}

function isEqual(a: readonly string[], b: readonly string[]): boolean {
  return a.join("\n") === b.join("\n");
}

async function writeAndCut(filesystem: LoopFilesystem, args: readonly string[]): Promise<string[]> {
  const writer = spawn(process.execPath, ["--import", "tsx", SCRIPT, filesystem.path, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  writer.stdout.on("data", (bytes: Buffer) => (text += bytes.toString()));
  await once(writer, "close");
  assert.equal(writer.signalCode, "SIGKILL");
  await filesystem.remount();
  return text.split("\n").slice(0, -1);
}
