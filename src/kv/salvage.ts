import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Level } from "level";
import { errnoOf } from "../errors.ts";
import { openDatabase } from "./database.ts";
import { soundLog } from "./log-format.ts";
import { salvageTable } from "./salvage-table.ts";
import { allTablesIn } from "./table-format.ts";
import { tableDamage } from "./table-check.ts";

/**
 * Makes of what is left of a database a new one at `target`, which may be there only as a leftover. Nothing is changed in `directory`;
 * of a directory that is gone the new one holds nothing.
 *
 * What can be read of tables and logs is in it, and it may hold what was deleted, or older values of keys that were written again, if
 * that is what is left. So no record of it is to be believed that does not prove itself.
 *
 * @param options.isWrittenOnce no key was ever written twice: then tables stay as they are
 */
export async function salvage(
  directory: string,
  target: string,
  { writeBufferBytes, isWrittenOnce }: { readonly writeBufferBytes: number; readonly isWrittenOnce: boolean },
): Promise<void> {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { mode: 0o700 });
  const linked = new Set<number>();
  for (const name of existsSync(directory) ? readdirSync(directory) : []) {
    // LevelDB never changes a table; it makes tables of logs.
    if (/^[0-9]+\.(ldb|sst)$/.test(name)) {
      const table = `${directory}/${name}`;
      linked.add(Number.parseInt(name));
      if (tableDamage(table, isWrittenOnce ? "frames" : "blocks") === undefined) linkSync(table, `${target}/${name}`);
      else readable(() => salvageTable(table, `${target}/${name}`, { isProven: isWrittenOnce }));
    }
    if (/^[0-9]+\.log$/.test(name))
      readable(() =>
        writeFileSync(`${target}/${name}`, soundLog(readFileSync(`${directory}/${name}`)), { mode: 0o600 }),
      );
  }
  if (readdirSync(target).length === 0) {
    const empty = await openDatabase(target, { create: true, writeBufferBytes });
    await empty.close();
    return;
  }
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(target);
  const db = await openDatabase(target, { create: false, writeBufferBytes });
  try {
    // All tables are in the first level now, where a lookup takes the newest file for the newest value. Merging goes by the numbers
    // of writes.
    if (!isWrittenOnce) await db.compactRange(FIRST_KEY, LAST_KEY);
    // Those that it makes of logs are compressed, which whoever reads values out of tables does not expect.
    for (const { number, first, last } of isWrittenOnce ? allTablesIn(db.getProperty("leveldb.sstables")) : [])
      if (!linked.has(Number(number))) await db.compactRange(Buffer.from(first, "latin1"), Buffer.from(last, "latin1"));
  } finally {
    await db.close();
  }
}

/** A sector that the disk does not give takes its table with it. */
function readable(read: () => void): void {
  try {
    read();
  } catch (error) {
    if (errnoOf(error) !== "EIO") throw error;
  }
}

const FIRST_KEY = new Uint8Array([0x00]);
const LAST_KEY: Uint8Array = new Uint8Array(64).fill(0xff);
