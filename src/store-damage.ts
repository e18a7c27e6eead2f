import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { isStoreError } from "./errors.ts";
import { FORMAT_VERSION } from "./format/record.ts";
import type { Kv } from "./kv/kv.ts";
import { openDamaged } from "./kv/open-damaged.ts";
import { checkFormat } from "./store-directory.ts";
import type { StorePaths } from "./store-paths.ts";
import { writeFileDurably } from "./sys/durable.ts";

/** Why a store is opened that may be damaged: `look` changes nothing of it, `mend` puts in place what can be salvaged. */
export type Purpose = "look" | "mend";

/** What of a store does not open as it is. */
export interface OpenDamage {
  readonly file: string;
  readonly reason: string;
  /** What was put in its place, if anything was. */
  readonly mended: string | undefined;
  /** What is to be removed in the end: what was salvaged beside its place, or what was damaged and is out of it now. */
  readonly aside: string | undefined;
  /** All that was in it is in what was put in its place. */
  readonly isWhole: boolean;
}

export interface DamagedParts {
  readonly meta: Kv;
  readonly chunks: Kv;
  /** Where that database is to be opened. */
  readonly uppers: string;
  readonly damage: readonly OpenDamage[];
}

/** Opens the databases of a store as far as can be. @throws {StoreError} FORMAT_NEWER, NO_SPACE */
export async function openDamagedParts(
  paths: StorePaths,
  purpose: Purpose,
  { writeBufferBytes }: { readonly writeBufferBytes: number },
): Promise<DamagedParts> {
  const damage: OpenDamage[] = [...formatDamage(paths, purpose), ...directoryDamage(paths, purpose)];
  const open = async (directory: string, options: object = {}): Promise<{ kv: Kv; openAt: string }> => {
    const { kv, salvaged } = await openDamaged(directory, { purpose, ...options });
    if (salvaged === undefined) return { kv, openAt: directory };
    const { error, openAt, aside } = salvaged;
    const isWhole = /\/(CURRENT|MANIFEST-[0-9]+)$/.test(error.details.record);
    const what = isWhole ? "made anew of its tables and logs" : "made anew of what can be read of its tables and logs";
    const mended = purpose === "mend" ? what : undefined;
    damage.push({
      file: directory,
      reason: `${error.details.record}: ${error.details.reason}`,
      mended,
      aside,
      isWhole,
    });
    return { kv, openAt };
  };
  const meta = await open(paths.meta);
  let chunks: Awaited<ReturnType<typeof open>> | undefined;
  try {
    chunks = await open(paths.chunks, { writeBufferBytes, isWrittenOnce: true });
    let uppers = paths.uppers;
    if (existsSync(uppers)) {
      const { kv, openAt } = await open(uppers);
      await kv[Symbol.asyncDispose]();
      uppers = openAt;
    }
    return { meta: meta.kv, chunks: chunks.kv, uppers, damage };
  } catch (error) {
    await chunks?.kv[Symbol.asyncDispose]();
    await meta.kv[Symbol.asyncDispose]();
    throw error;
  }
}

function* formatDamage(paths: StorePaths, purpose: Purpose): Generator<OpenDamage> {
  let reason = "is lost";
  try {
    if (existsSync(paths.format)) return checkFormat(paths);
  } catch (error) {
    if (!isStoreError(error, "FORMAT_INVALID")) throw error;
    ({ reason } = error.details);
  }
  const mended = purpose === "mend" ? "written anew" : undefined;
  // `initialising` beside it would have the next open throw all away.
  if (purpose === "mend") {
    rmSync(paths.initialising, { force: true });
    writeFileDurably(paths.format, `delta0 store\nformat ${FORMAT_VERSION}\n`, 0o600);
  }
  yield { file: paths.format, reason, mended, aside: undefined, isWhole: true };
}

function* directoryDamage(paths: StorePaths, purpose: Purpose): Generator<OpenDamage> {
  for (const file of [paths.privateExports, paths.manifests, paths.staging, paths.lxc]) {
    if (existsSync(file)) continue;
    if (purpose === "mend") mkdirSync(file, { recursive: true, mode: 0o700 });
    const mended = purpose === "mend" ? "made anew, empty" : undefined;
    yield { file, reason: "is lost", mended, aside: undefined, isWhole: true };
  }
}

/** What a check that was killed left: what was salvaged is beside its place only while it lasts. */
export function removeSalvaged({ directory }: StorePaths): void {
  for (const name of readdirSync(directory))
    if (name.endsWith(".salvaged")) rmSync(`${directory}/${name}`, { recursive: true });
}
