import { mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { errnoOf } from "../errors.ts";
import { tryLockDirectory } from "../sys/lock.ts";
import type { Lock } from "../sys/lock.ts";
import { nextFileNumber } from "./manifest.ts";

/**
 * A directory in which LevelDB opens a database that it cannot write to: the files are symlinks to those of the database, and what
 * LevelDB writes when it opens one, a table of what its logs hold, a new manifest, lies beside them, in memory mostly.
 */
export class Shadow implements Disposable {
  readonly path: string;
  readonly #lock: Lock | undefined;

  private constructor(path: string) {
    this.path = path;
    this.#lock = tryLockDirectory(path);
  }

  /**
   * @throws {StoreError} FORMAT_INVALID; what the last place that was tried failed with
   */
  static make(database: string): Shadow {
    let failure: unknown;
    for (const place of ["/dev/shm", "/run", tmpdir()]) {
      try {
        return Shadow.#makeIn(place, database);
      } catch (error) {
        if (errnoOf(error) === undefined) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  static #makeIn(place: string, database: string): Shadow {
    sweep(place);
    const shadow = new Shadow(mkdtempSync(`${place}/${PREFIX}`));
    try {
      // LevelDB would write a new table or manifest that has the number of a killed process's through its symlink.
      const next = nextFileNumber(database);
      for (const name of readdirSync(database)) {
        const number = /[0-9]+/.exec(name)?.[0];
        const isShown = RENEWED.test(name) ? Number(number) < next : SHOWN.test(name);
        if (isShown) symlinkSync(`${database}/${name}`, `${shadow.path}/${name}`);
      }
      // A symlink takes no room, what LevelDB is about to write does.
      const trial = `${shadow.path}/trial`;
      writeFileSync(trial, new Uint8Array(LEAST_ROOM_BYTES));
      rmSync(trial);
      return shadow;
    } catch (error) {
      shadow[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
    this.#lock?.[Symbol.dispose]();
  }
}

/** What killed processes have left. */
function sweep(place: string): void {
  for (const name of readdirSync(place)) {
    if (!name.startsWith(PREFIX)) continue;
    const path = `${place}/${name}`;
    try {
      const { uid, mtimeMs } = statSync(path);
      if (uid !== process.geteuid?.() || Date.now() - mtimeMs < IN_THE_MAKING_MS) continue;
      using lock = tryLockDirectory(path);
      if (lock !== undefined) rmSync(path, { recursive: true, force: true });
    } catch (error) {
      // Others sweep, too.
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
}

const PREFIX = "delta0-shadow-";
const RENEWED = /^(?:MANIFEST-[0-9]+|[0-9]+\.(?:ldb|sst))$/;
const SHOWN = /^(?:CURRENT|[0-9]+\.log)$/;
/** Between mkdtemp and the lock. */
const IN_THE_MAKING_MS = 60_000;
/** A memtable and what LevelDB keeps beside it. */
const LEAST_ROOM_BYTES = 6 << 20;
