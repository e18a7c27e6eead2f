import { StoreError } from "../errors.ts";
import type { ExportKey } from "../exports/export-key.ts";
import type { Store } from "../store.ts";
import { parseDuration } from "../model/duration.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { ExportUsers } from "./export-users.ts";

/**
 * Removes the shared exports that nothing has used for the store's grace period. Those that are in use are noted to be: so this looks at
 * containers' configs about once in a period, and costs nothing else. What goes wrong is warned of.
 */
export async function sweepExports(context: Context, options: SweepExportsOptions = {}): Promise<SweptExports> {
  try {
    return await sweep(context, options);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    warn(context, `unused exports stay: ${error.message}`);
    return { removed: [] };
  }
}

export interface SweepExportsOptions {
  /** Default: that of the store. */
  readonly graceMs?: number;
  /** Tells which would go, and removes none. */
  readonly dryRun?: boolean;
}

export interface SweptExports {
  readonly removed: readonly ExportKey[];
}

async function sweep(context: Context, { graceMs, dryRun = false }: SweepExportsOptions): Promise<SweptExports> {
  const { exports, settings } = context.store;
  const grace = graceMs ?? parseDuration(settings.find("exports.grace") ?? "") ?? DEFAULT_GRACE_MS;
  const before = Date.now() - grace;
  const isOld = (key: ExportKey): boolean => grace === 0 || (exports.lastUsed(key) ?? 0) < before;
  if (!exports.keys().some(isOld)) return { removed: [] };
  const users = await ExportUsers.find(context);
  const [used, unused] = [new Set<ExportKey>(), new Set<ExportKey>()];
  for (const key of exports.keys()) (users.isUsed(key) ? used : unused).add(key);
  exports.touch(used);
  const removed = [...unused].filter(isOld);
  if (!dryRun) for (const key of removed) exports.remove(key);
  return { removed };
}

const DEFAULT_GRACE_MS = 24 * 3600 * 1000;

export interface ExportSpace {
  readonly exports: number;
  /** What their files and directories take. Blocks that exports share are counted in each. */
  readonly diskBytes: number;
}

/** As they were made, without a walk. One whose manifest is lost counts for nothing. */
export function exportSpace({ exports }: Store, keys: readonly ExportKey[] = exports.keys()): ExportSpace {
  const diskBytes = keys.reduce((sum, key) => sum + (exports.headerOf(key)?.diskBytes ?? 0), 0);
  return { exports: keys.length, diskBytes };
}
