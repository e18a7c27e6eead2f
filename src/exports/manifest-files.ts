import { existsSync, lstatSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { errnoOf, StoreError } from "../errors.ts";
import type { TreePath } from "../model/name.ts";
import { writeFileDurably } from "../sys/durable.ts";
import type { ExportKey } from "./export-key.ts";
import { readManifest, readManifestHeader, writeManifest } from "./manifest.ts";
import type { ExportScan, Manifest, ManifestHeader } from "./manifest.ts";

/** That somebody changed an export. */
export interface KnownChange {
  readonly count: number;
  /** Up to ten of them. */
  readonly examples: readonly TreePath[];
}

/**
 * The manifests of exports, as files. Their mtime is when the export was last used; a file beside one says that its export was seen to be
 * changed, which it stays until it is made again: no call sets a ctime back.
 */
export class ManifestFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Of what was just made. */
  write(key: ExportKey, scan: ExportScan, header: Pick<ManifestHeader, "over" | "idMap">): void {
    writeManifest(this.#file(key), scan, header);
    rmSync(this.#mark(key), { force: true });
  }

  /** @returns undefined if it is lost */
  find(key: ExportKey): { readonly manifest: Manifest; readonly header: ManifestHeader } | undefined {
    return unlessLost(() => readManifest(this.#file(key)));
  }

  /** @returns undefined if it is lost */
  findHeader(key: ExportKey): ManifestHeader | undefined {
    return unlessLost(() => readManifestHeader(this.#file(key)));
  }

  markChanged(key: ExportKey, changed: readonly TreePath[]): void {
    const mark = this.#mark(key);
    if (!existsSync(mark))
      writeFileDurably(mark, Buffer.from([changed.length, ...changed.slice(0, 10)].join("\0"), "latin1"), 0o600);
  }

  knownChange(key: ExportKey): KnownChange | undefined {
    const text = unlessLost(() => readFileSync(this.#mark(key), "latin1"));
    if (text === undefined) return undefined;
    const [count, ...examples] = text.split("\0");
    return { count: Number(count), examples: examples };
  }

  touch(key: ExportKey): void {
    const now = new Date();
    unlessLost(() => utimesSync(this.#file(key), now, now));
  }

  /** In ms; undefined if it is lost. */
  lastUsed(key: ExportKey): number | undefined {
    return lstatSync(this.#file(key), { throwIfNoEntry: false })?.mtimeMs;
  }

  remove(key: ExportKey): void {
    rmSync(this.#file(key), { force: true });
    rmSync(this.#mark(key), { force: true });
  }

  #file(key: ExportKey): string {
    return `${this.#directory}/${key}`;
  }

  #mark(key: ExportKey): string {
    return `${this.#file(key)}.changed`;
  }
}

function unlessLost<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || error instanceof StoreError) return undefined;
    throw error;
  }
}
