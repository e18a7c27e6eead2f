import {
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { isStoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { KnownRows } from "../format/known-files.ts";
import type { FileIdentity, KnownFile } from "../format/known-files.ts";
import { openBytes, sealBytes } from "../format/record.ts";
import type { KnownContents } from "../sources/node-reader.ts";
import type { Store } from "../store.ts";
import { statPath } from "../sys/stat.ts";
import type { Stat } from "../sys/stat.ts";

/**
 * The contents of a directory's files as they were read last, so that what is unchanged need not be read: a file of the same device,
 * inode, size, mtime and ctime, as borg and casync have it. A hint and nothing else, in a file of the store for each directory: what is
 * lost or damaged of it is read again, and a content counts only once all of it is found in the store, and is claimed.
 *
 * As git has it for its index, a file is known only if its ctime was well in the past when it was read ("racy git"): one that is written
 * again within the same tick of the clock shows the same ctime.
 */
export class KnownFiles implements KnownContents {
  readonly #store: Store;
  readonly #device: string;
  readonly #key: Buffer;
  readonly #path: string;
  readonly #before: KnownRows;
  readonly #now = KnownRows.empty();
  #isChanged = false;

  private constructor(store: Store, device: string, key: Buffer, path: string, before: KnownRows) {
    this.#store = store;
    this.#device = device;
    this.#key = key;
    this.#path = path;
    this.#before = before;
  }

  /** @returns undefined where a filesystem's ctimes are not those of this host's clock, or none at all */
  static open(store: Store, directory: string): KnownFiles | undefined {
    if (!TRUSTED_FILESYSTEMS.has(statfsSync(directory).type)) return undefined;
    const { device } = statPath(directory);
    const key = Buffer.from(`${device} ${realpathSync(directory)}`);
    const path = `${store.paths.knownFiles}/${digestOf(key).slice(0, 32)}`;
    return new KnownFiles(store, device, key, path, read(path, key));
  }

  find(stat: Stat): KnownFile | undefined {
    const file = this.#identityOf(stat);
    const known = file && this.#before.find(file);
    if (known === undefined || !this.#store.content.claim(known.content)) return undefined;
    if (this.#now.count < MAX_FILES) this.#now.addFound(this.#before);
    return known;
  }

  add(stat: Stat, known: KnownFile, readAtMs: number): void {
    const file = this.#identityOf(stat);
    if (file === undefined || stat.ctimeSec * 1000 > readAtMs - RACY_MS) return;
    this.#isChanged = true;
    if (this.#now.count < MAX_FILES) this.#now.add(file, known);
  }

  /** Keeps what was seen for the next time. Whatever goes wrong, that reads all. */
  save(): void {
    if (!this.#isChanged && this.#now.count === this.#before.count) return;
    const temporary = `${this.#path}.tmp`;
    try {
      mkdirSync(this.#store.paths.knownFiles, { recursive: true, mode: 0o700 });
      writeFileSync(temporary, sealBytes(this.#key, this.#now.encode()), { mode: 0o600 });
      renameSync(temporary, this.#path);
      dropOldest(this.#store.paths.knownFiles);
    } catch {
      rmSync(temporary, { force: true });
    }
  }

  #identityOf(stat: Stat): FileIdentity | undefined {
    const { device, size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec } = stat;
    const ino = Number(stat.ino);
    if (device !== this.#device || ino > Number.MAX_SAFE_INTEGER) return undefined;
    return { ino, size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec };
  }
}

function read(path: string, key: Buffer): KnownRows {
  try {
    const bytes = openBytes(key, readFileSync(path), "known files");
    return KnownRows.decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)) ?? KnownRows.empty();
  } catch (error) {
    if (isStoreError(error, "FORMAT_INVALID") || isStoreError(error, "FORMAT_NEWER") || isMissing(error))
      return KnownRows.empty();
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function dropOldest(directory: string): void {
  const files = readdirSync(directory).map((name) => {
    const path = `${directory}/${name}`;
    const { size, mtimeMs } = statSync(path);
    return { path, size, mtimeMs };
  });
  let bytes = 0;
  for (const [i, { path, size }] of files.sort((a, b) => b.mtimeMs - a.mtimeMs).entries()) {
    bytes += size;
    if (i > 0 && (i >= MAX_DIRECTORIES || bytes > MAX_BYTES)) rmSync(path, { force: true });
  }
}

/** Clocks of 1 s (ext4 with small inodes), and what the kernel's lags behind. */
const RACY_MS = 2000;
/** Of one directory, at 73 bytes each. */
const MAX_FILES = 500_000;
const MAX_DIRECTORIES = 64;
const MAX_BYTES = 64 << 20;

/** ext2 to ext4, XFS, btrfs, F2FS, tmpfs, overlay, bcachefs, ZFS: f_type of statfs(2). */
const TRUSTED_FILESYSTEMS: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x01021994, 0x794c7630, 0xca451a4e, 0x2fc12fc1,
]);
