// What LevelDB's MANIFEST says. Source: leveldb 1.20, db/version_edit.cc.

import { Varints } from "./table-format.ts";

/** What a database is made of, as far as its MANIFEST can be read. */
export interface Version {
  /** The first log that is not in tables yet. */
  readonly log: number | undefined;
  /** New files get numbers from this on. */
  readonly nextFile: number | undefined;
  /** Bytes of the table files, by number. */
  readonly tables: ReadonlyMap<number, number>;
}

/**
 * @param edits the records of a MANIFEST
 * @param parts `numbers`: without the tables, of which there may be thousands, and each edit has them behind all else
 */
export function versionIn(edits: Iterable<Uint8Array>, parts: "all" | "numbers" = "all"): Version {
  const tables = new Map<number, number>();
  let log: number | undefined;
  let nextFile: number | undefined;
  for (const edit of edits) {
    const fields = new Varints(edit);
    const skipText = (): void => {
      const length = fields.next();
      fields.at += length;
    };
    while (fields.at < edit.length) {
      const tag = fields.next();
      if (tag === TAG.comparator) skipText();
      else if (tag === TAG.log) log = fields.next();
      else if (tag === TAG.nextFile) nextFile = fields.next();
      else if (tag === TAG.lastSequence || tag === TAG.previousLog) fields.next();
      else if (tag === TAG.compactPointer) {
        fields.next();
        skipText();
      } else if (parts === "numbers") break;
      else if (tag === TAG.deletedFile) {
        fields.next();
        tables.delete(fields.next());
      } else if (tag === TAG.newFile) {
        fields.next();
        const number = fields.next();
        tables.set(number, fields.next());
        skipText();
        skipText();
      } else break;
    }
  }
  return { log, nextFile, tables };
}

const TAG = {
  comparator: 1,
  log: 2,
  nextFile: 3,
  lastSequence: 4,
  compactPointer: 5,
  deletedFile: 6,
  newFile: 7,
  previousLog: 9,
} as const;
