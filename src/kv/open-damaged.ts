import { existsSync, renameSync } from "node:fs";
import { basename, dirname } from "node:path";
import { isStoreError, StoreError } from "../errors.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { syncFilesystem, syncPath } from "../sys/durable.ts";
import { requireIntact } from "./intact.ts";
import { Kv } from "./kv.ts";
import { salvage } from "./salvage.ts";
import { damagedTables } from "./table-check.ts";

/** A database that did not open, and what was made of it. */
export interface SalvagedDatabase {
  readonly directory: string;
  readonly error: StoreError<"FORMAT_INVALID">;
  /** Where what was salvaged is open: beside its place, or in it. */
  readonly openAt: string;
  /** What is to be removed in the end: what was salvaged if it is beside its place, else the damaged one. */
  readonly aside: string;
}

export interface OpenDamagedOptions {
  readonly writeBufferBytes?: number;
  /** See `salvage`. */
  readonly isWrittenOnce?: boolean;
  /** `mend` puts what was salvaged in the place of what is damaged, which goes aside; `look` leaves all as it is. */
  readonly purpose: "look" | "mend";
}

/**
 * As `Kv.open`; of a database that does not open because it is damaged, or has tables that are, what can be salvaged.
 *
 * @throws {StoreError} as `Kv.open`
 */
export async function openDamaged(
  directory: string,
  options: OpenDamagedOptions,
): Promise<{ readonly kv: Kv; readonly salvaged?: SalvagedDatabase }> {
  const { writeBufferBytes = 4 << 20, isWrittenOnce = false, purpose } = options;
  try {
    return { kv: await openWhole(directory, options) };
  } catch (error) {
    if (!isStoreError(error, "FORMAT_INVALID")) throw error;
    const target = `${directory}.salvaged`;
    await salvage(directory, target, { writeBufferBytes, isWrittenOnce });
    const aside = purpose === "look" ? target : freeName(`${directory}.damaged`);
    if (purpose === "mend") putInPlace(directory, target, aside);
    const openAt = purpose === "look" ? target : directory;
    const kv = await Kv.open(openAt, { create: false, writeBufferBytes });
    return { kv, salvaged: { directory, error, openAt, aside } };
  }
}

/** LevelDB must not read a damaged block: it may end the process. @throws {StoreError} FORMAT_INVALID for a table that has one */
async function openWhole(
  directory: string,
  { writeBufferBytes = 4 << 20, isWrittenOnce = false }: OpenDamagedOptions,
): Promise<Kv> {
  requireIntact(directory);
  const [damaged] = damagedTables(directory, isWrittenOnce ? "frames" : "blocks");
  if (damaged !== undefined) throw new StoreError("FORMAT_INVALID", { record: damaged.file, reason: damaged.reason });
  return await Kv.open(directory, { create: false, writeBufferBytes });
}

/** A kill leaves the one or the other in place, and the damaged one somewhere. */
function putInPlace(directory: string, target: string, aside: string): void {
  const around = dirname(directory);
  syncFilesystem(around);
  using parent = DirectoryHandle.open(around);
  if (existsSync(directory)) {
    parent.rename(basename(target), parent, basename(directory), { exchange: true });
    renameSync(target, aside);
  } else renameSync(target, directory);
  syncPath(around);
}

/** What an earlier try set aside stays. */
function freeName(path: string): string {
  for (let number = 1; ; number++) if (!existsSync(`${path}-${number}`)) return `${path}-${number}`;
}
