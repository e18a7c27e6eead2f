/** What importing and exporting cost, in time and memory. Run: npm run bench -- import-export */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { rootfsTar, unpackedRootfs } from "../test/support/rootfs.ts";
import { run } from "../test/support/run.ts";
import { benchDirectory, delta0, measure, megabytes, report } from "./support.ts";
import type { Measured } from "./support.ts";

const GIB = 2 ** 30;

await using at = await benchDirectory(24_000);
const store = `${at.path}/store`;
const rows: [string, string][] = [];
const row = (what: string, { seconds, peakRssBytes }: Measured): void => {
  rows.push([what, `${seconds.toFixed(2)} s, peak ${megabytes(peakRssBytes)}`]);
};

const large = await unpackedRootfs("bookworm-large");
row(
  "import of bookworm-large (17k entries, 551 MB), a tar",
  delta0(store, ["import", await rootfsTar("bookworm-large"), "large"]),
);
row("the same again, from its directory", delta0(store, ["import", large, "again"]));
row("export to a directory, synced", delta0(store, ["export", "large", `${at.path}/large`]));
row("cp -a of it (not synced)", measure("cp", ["-a", large, `${at.path}/copied`]));
row("export to a tar", delta0(store, ["export", "large", `${at.path}/large.tar`]));
row("tar -cf of it", measure("tar", ["-cf", `${at.path}/gnu.tar`, "-C", large, "."]));
const stored = Number((await run("du", ["-sb", store])).split("\t")[0]);
rows.push(["the store then", megabytes(stored)]);

mkdirSync(`${at.path}/5g`);
execFileSync("sh", ["-c", `head -c ${5 * GIB} /dev/urandom >${at.path}/5g/file`]);
row("import of one file of 5 GiB, random", delta0(store, ["import", `${at.path}/5g`, "5g"]));
rmSync(`${at.path}/5g`, { recursive: true });
row("export of it", delta0(store, ["export", "5g", `${at.path}/5g-out`]));

report("import and export", rows);
