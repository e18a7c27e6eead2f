import { StoreError } from "../errors.ts";
import { nameKey } from "../format/keys.ts";
import { openRecord, sealRecord } from "../format/record.ts";
import type { Kv } from "../kv/kv.ts";
import { DEFAULT_COMPRESSION_LEVEL, requireCompressionLevel } from "../model/compression-level.ts";

/** What a user can set for a store, with what each is for. */
export const SETTINGS = {
  "lxc.path": "where containers get their LXC directories (default: what lxc-config says)",
  "lxc.template": "a config file whose keys new containers have instead of our defaults",
  "exports.grace": "how long exports that nothing uses any more are kept: 30m, 12h, 7d (default: 24h)",
  identity: "new or keep: whether containers that are made become machines of their own (default: new)",
  limit:
    "how much the store may take: 20G; then gc runs by itself, and what does not fit is refused (default: no limit)",
  "compression.level": "how hard zstd compresses what is stored from now on: 1, the fastest, to 19 (default: 3)",
  "gc.grace": "for how long gc keeps what a name meant after it was changed or removed (default: 14d)",
} as const;
export type Setting = keyof typeof SETTINGS;
/** What a store keeps of itself in the same way. */
export type Note = "gc.last" | "gc.waiting";

/** A store's settings. */
export class Settings {
  readonly #meta: Kv;

  /** Borrows `meta`. */
  constructor(meta: Kv) {
    this.#meta = meta;
  }

  /** @throws {StoreError} FORMAT_INVALID if its record is damaged */
  find(setting: Setting | Note): string | undefined {
    const key = nameKey("setting", setting);
    const bytes = this.#meta.getSync(key);
    if (bytes === undefined) return undefined;
    const record = `setting ${setting}`;
    const value = openRecord(key, bytes, record);
    if (typeof value !== "string") throw new StoreError("FORMAT_INVALID", { record, reason: "is no text" });
    return value;
  }

  /** Safe from a power cut on return. undefined: back to the default. */
  async set(setting: Setting | Note, value: string | undefined): Promise<void> {
    const key = nameKey("setting", setting);
    const operation =
      value === undefined
        ? ({ type: "del", key } as const)
        : ({ type: "put", key, value: sealRecord(key, value) } as const);
    await this.#meta.write([operation], { sync: true });
  }
}

/** @throws {StoreError} FORMAT_INVALID if its record is damaged */
export function compressionLevel(settings: Settings): number {
  const level = settings.find("compression.level");
  return level === undefined ? DEFAULT_COMPRESSION_LEVEL : requireCompressionLevel(level);
}
