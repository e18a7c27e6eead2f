/** Changes modes of a container's files until it is killed, and says each time that it did: change-worker.ts STORE NAME */
import { writeSync } from "node:fs";
import { chmodFiles, Store } from "../../src/index.ts";

const [directory = "", name = ""] = process.argv.slice(2);
await using store = await Store.open(directory, { command: "change-worker" });
for (let i = 0; ; i++) {
  const mode = i % 2 === 0 ? "a-w" : "a+w";
  await chmodFiles({ store, command: "change-worker" }, { paths: [`${name}:/many`], mode, recursive: true });
  writeSync(1, `${mode}\n`);
}
