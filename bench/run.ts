/** Runs the benches that are named, or all: npm run bench -- [NAME…]. They take the command as it is built. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const NO_BENCH = new Set(["run", "support", "figure", "table", "main-job"]);
const folder = fileURLToPath(new URL(".", import.meta.url));
const all = readdirSync(folder)
  .map((file) => file.replace(/\.ts$/, ""))
  .filter((name) => !NO_BENCH.has(name));
const wanted = process.argv.length > 2 ? process.argv.slice(2) : all;
for (const name of wanted) {
  if (!all.includes(name)) {
    process.stderr.write(`no bench "${name}"; there are ${all.join(", ")}\n`);
    process.exit(2);
  }
}
for (const name of wanted) {
  const { status } = spawnSync(process.execPath, ["--import", "tsx", `${folder}${name}.ts`], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
