import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { errnoOf, StoreError } from "../errors.ts";
import { maskedCrc } from "./crc32c.ts";
import { readLog } from "./log-format.ts";
import { versionIn } from "./version.ts";

/**
 * Looks whether a database is as LevelDB left it. LevelDB notices a table that is gone; of a log or a MANIFEST that is damaged or cut
 * short it takes what it finds, deletes tables that it does not find named there, and says nothing.
 *
 * Reads the logs, 4 MiB at most, in about 5 ms.
 *
 * @throws {StoreError} FORMAT_INVALID
 */
export function requireIntact(directory: string): void {
  const invalid = (name: string, reason: string): StoreError =>
    new StoreError("FORMAT_INVALID", { record: `${directory}/${name}`, reason, hint: FSCK });
  const read = (name: string): Buffer | undefined =>
    existsSync(`${directory}/${name}`) ? readFileSync(`${directory}/${name}`) : undefined;
  const current = read("CURRENT")?.toString("latin1");
  if (current === undefined) throw invalid("CURRENT", "is lost");
  const manifestName = /^(MANIFEST-[0-9]+)\n$/.exec(current)?.[1];
  if (manifestName === undefined) throw invalid("CURRENT", "is damaged");
  const left = readLeft(directory);
  const records = (name: string): readonly Buffer[] => {
    const log = read(name);
    if (log === undefined) throw invalid(name, "is lost");
    const { records, badAt, isTorn } = readLog(log);
    const leftBytes = left.get(name) ?? 0;
    if (log.length < leftBytes) throw invalid(name, `has lost its end`);
    // What was closed is whole, to its end.
    const mayBeTorn = log.length !== leftBytes;
    if (badAt !== undefined && !(isTorn && mayBeTorn)) throw invalid(name, `is damaged at byte ${badAt}`);
    return records;
  };
  const { log: firstLog = 0 } = versionIn(records(manifestName), "numbers");
  if (firstLog === 0) return;
  const logs = readdirSync(directory).filter((name) => /^[0-9]+\.log$/.test(name));
  if (!logs.some((name) => Number.parseInt(name) === firstLog))
    throw invalid(`${String(firstLog).padStart(6, "0")}.log`, "is lost, or MANIFEST has lost its end");
  for (const name of logs) if (Number.parseInt(name) >= firstLog) records(name);
}

/**
 * Says of a database that is closed how long its logs are: what is lost of their ends can be told then. A process that was killed says
 * nothing, and what stands there is of logs that are gone.
 */
export function writeLeft(directory: string): void {
  try {
    const names = readdirSync(directory).filter((name) => /^([0-9]+\.log|MANIFEST-[0-9]+)$/.test(name));
    const rows = names.map((name) => `${name} ${syncedSize(`${directory}/${name}`)}\n`).join("");
    writeFileSync(`${directory}/${LEFT}`, `${rows}${checkOf(rows)}\n`, { mode: 0o600 });
  } catch (error) {
    // On a full disk or a read-only one nothing is said.
    if (errnoOf(error) === undefined) throw error;
  }
}

/** A power cut must not take what was said to be there. */
function syncedSize(file: string): number {
  const fd = openSync(file, "r");
  try {
    const { size } = fstatSync(fd);
    if (size > 0) fdatasyncSync(fd);
    return size;
  } finally {
    closeSync(fd);
  }
}

function readLeft(directory: string): ReadonlyMap<string, number> {
  const left = new Map<string, number>();
  if (!existsSync(`${directory}/${LEFT}`)) return left;
  const [, rows = "", check] = /^([^]*\n)([0-9]+)\n$/.exec(readFileSync(`${directory}/${LEFT}`, "latin1")) ?? [];
  if (check !== checkOf(rows)) return left;
  for (const row of rows.split("\n")) {
    const [name = "", size] = row.split(" ");
    left.set(name, Number(size));
  }
  return left;
}

function checkOf(rows: string): string {
  return String(maskedCrc(Buffer.from(rows, "latin1")));
}

/** LevelDB leaves files alone whose names are none of its own. */
const LEFT = "LEFT";
export const FSCK = "delta0 fsck tells what is damaged, delta0 fsck --repair mends what can be mended";
