/** Changes a container through a view, says so, and stays until it is killed: view-worker.ts STORE NAME */
import { setTimeout as sleep } from "node:timers/promises";
import { openContainer, Store } from "../../src/index.ts";

const [directory = "", name = ""] = process.argv.slice(2);
await using store = await Store.open(directory, { command: "view-worker" });
await using view = await openContainer({ store, command: "view-worker" }, { name });
await view.promises.rename("/etc", "/old-etc");
await view.promises.mkdir("/etc");
await view.promises.writeFile("/etc/by-view", "written\n");
process.stdout.write("done\n");
await sleep(600_000);
