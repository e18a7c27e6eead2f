import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { StoreError } from "../errors.ts";
import { readLog } from "./log-format.ts";
import { versionIn } from "./manifest.ts";

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
    const leftBytes = left.get(name);
    // What was closed is whole, to its end.
    if (leftBytes !== undefined && log.length < leftBytes) throw invalid(name, `has lost its end`);
    if (badAt !== undefined && !(isTorn && leftBytes === undefined)) throw invalid(name, `is damaged at byte ${badAt}`);
    return records;
  };
  const { log: firstLog = 0 } = versionIn(records(manifestName));
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
  const names = readdirSync(directory).filter((name) => /^([0-9]+\.log|MANIFEST-[0-9]+)$/.test(name));
  const rows = names.map((name) => `${name} ${statSync(`${directory}/${name}`).size}\n`);
  try {
    writeFileSync(`${directory}/${LEFT}`, rows.join(""), { mode: 0o600 });
  } catch {
    // On a full disk or a read-only one nothing is said, or no part of it.
    rmSync(`${directory}/${LEFT}`, { force: true });
  }
}

function readLeft(directory: string): ReadonlyMap<string, number> {
  const left = new Map<string, number>();
  if (!existsSync(`${directory}/${LEFT}`)) return left;
  for (const [, name = "", size] of readFileSync(`${directory}/${LEFT}`, "latin1").matchAll(/^(\S+) ([0-9]+)$/gm))
    left.set(name, Number(size));
  return left;
}

/** LevelDB leaves files alone whose names are none of its own. */
const LEFT = "LEFT";
export const FSCK = "delta0 fsck tells what is damaged, delta0 fsck --repair mends what can be mended";
