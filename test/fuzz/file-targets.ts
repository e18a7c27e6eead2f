import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { errnoOf } from "../../src/errors.ts";
import { KnownRows } from "../../src/format/known-files.ts";
import { Kv } from "../../src/kv/kv.ts";
import { readLog } from "../../src/kv/log-format.ts";
import { damagedTables } from "../../src/kv/table-check.ts";
import { readIndex, tablesIn } from "../../src/kv/table-format.ts";
import { Tables } from "../../src/kv/tables.ts";
import { versionIn } from "../../src/kv/version.ts";
import { mutatedBytes } from "./mutate.ts";
import { requireSame, typed } from "./target.ts";
import type { Target } from "./target.ts";

const row = { ino: 2 ** 40, size: 5, mtimeSec: -1, mtimeNsec: 1, ctimeSec: 2, ctimeNsec: 3 };

const knownFiles: Target = {
  name: "known files",
  weight: 4,
  run: (random) => {
    const rows = KnownRows.empty();
    for (let i = random.below(4); i >= 0; i--)
      rows.add({ ...row, ino: i }, { content: { size: 5, sparse: i === 1, root: null }, isPlain: i === 2 });
    const other = mutatedBytes(random, rows.encode());
    const decoded = KnownRows.decode(other);
    if (decoded === undefined) return;
    requireSame(decoded.encode(), other);
    for (let ino = 0; ino < 4; ino++) decoded.find({ ...row, ino });
  },
};

/** What we read of LevelDB's own files. @param directory where files may be written */
async function levelFiles(directory: string): Promise<Target> {
  const path = `${directory}/kv`;
  const keys = Array.from({ length: 40 }, (_, i) => Buffer.from(`key${String(i).padStart(4, "0")}`));
  {
    await using kv = await Kv.open(path, { create: true });
    await kv.write(keys.map((key, i) => ({ type: "put", key, value: Buffer.alloc(i * 300, i) })));
    await kv.barrier();
  }
  const [table = "", manifest = ""] = [/\.ldb$/, /^MANIFEST/].map(
    (name) => readdirSync(path).find((file) => name.test(file)) ?? "",
  );
  const tableBytes = readFileSync(`${path}/${table}`);
  const manifestBytes = readFileSync(`${path}/${manifest}`);
  const description = (size: number): string => ` 7:${size}['key0000' @ 1 : 1 .. 'key0039' @ 40 : 1]`;
  return {
    name: "LevelDB's files",
    weight: 3,
    run: (random) => {
      const log = mutatedBytes(random, manifestBytes);
      typed(() => versionIn(readLog(log).records));
      typed(() => versionIn([mutatedBytes(random, readLog(manifestBytes).records[0] ?? Buffer.alloc(0))]));
      typed(() => tablesIn(mutatedBytes(random, Buffer.from(description(100))).toString("latin1")));

      // What stands at the end says where all else is.
      const end = tableBytes.length - (random.once(2) ? 48 : 600);
      const bytes = Buffer.concat([tableBytes.subarray(0, end), mutatedBytes(random, tableBytes.subarray(end))]);
      writeFileSync(`${path}/${table}`, bytes);
      withoutErrno(() => [...damagedTables(path, random.pick(["blocks", "frames"]))]);
      const fd = openSync(`${path}/${table}`, "r");
      withoutErrno(() => readIndex(fd, bytes.length));
      closeSync(fd);
      using tables = new Tables(path, () => description(bytes.length).replace("7", String(Number.parseInt(table))));
      for (const key of keys.slice(30)) withoutErrno(() => tables.read(key, random.below(100), Infinity));
    },
  };
}

/** What a disk may say, too. */
function withoutErrno(read: () => unknown): void {
  try {
    typed(read);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
}

/** @param directory where files may be written */
export async function fileTargets(directory: string): Promise<readonly Target[]> {
  return [knownFiles, await levelFiles(directory)];
}
