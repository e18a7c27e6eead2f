// Changes a container until it cuts its filesystem's power and dies: power-cut-view.ts MOUNTPOINT HOW SEED FIRST MS
import { writeSync } from "node:fs";
import { commit, openContainer, status, Store } from "../../src/index.ts";
import { callOf, viewSide } from "../crash/view-calls.ts";
import { powerSwitch } from "./power-cut.ts";

const [mountPoint = "", how = "", seed = "", first = "", milliseconds = ""] = process.argv.slice(2);

const cutPower = powerSwitch(mountPoint);
await using store = await Store.open(`${mountPoint}/store`, { command: "writer" });
const context = { store, command: "writer" };
await using view = await openContainer(context, { name: "web" });
const handle = await view.promises.open("/", "r");
const deadline = performance.now() + Number(milliseconds);
for (let number = Number(first); ; number++) {
  await callOf(Number(seed), number)
    .make(viewSide(view))
    .catch(() => undefined);
  if (number % 8 === 0 && how === "sync") await handle.sync();
  if (number % 8 === 0 && how === "status") await status(context, { name: "web" });
  if (number % 8 === 0 && how === "commit") await commit(context, { name: "web", layer: "latest", replace: true });
  writeSync(1, number % 8 === 0 && how !== "nothing" ? `safe ${number}\n` : `done ${number}\n`);
  if (performance.now() > deadline) cutPower();
}
