import { readFileSync } from "node:fs";
import { StoreError } from "../errors.ts";
import { readLog } from "./log-format.ts";
import { versionIn } from "./version.ts";

/**
 * The number from which on LevelDB names new files when it next opens a database: a table with such a number is one that a killed
 * process left, and nobody's.
 *
 * @throws {StoreError} FORMAT_INVALID
 */
export function nextFileNumber(directory: string): number {
  const current = readFileSync(`${directory}/CURRENT`, "latin1").trim();
  const { nextFile } = versionIn(readLog(readFileSync(`${directory}/${current}`)).records, "numbers");
  if (nextFile !== undefined) return nextFile;
  throw new StoreError("FORMAT_INVALID", { record: `${directory}/${current}`, reason: "it names no files" });
}
