import { lstatSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import type { ContainerRef } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import { mapOf, partsOfKey } from "../exports/export-key.ts";
import type { ExportKey } from "../exports/export-key.ts";
import { ACCESS_ACL } from "../format/acl.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { hasIdMap, idMapOf, lackingRanges } from "../lxc/id-map-config.ts";
import { formatIdMap, parseIdMap, rootOf } from "../model/id-map.ts";
import type { IdMap } from "../model/id-map.ts";
import type { Losses } from "../sinks/written.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";

/**
 * The id map of new containers.
 *
 * @param given as `parseIdMap` takes it; none at all for none
 * @param config what they would get; null for those without
 * @param inherited the original's
 * @throws {StoreError} USAGE
 */
export function idMapFor(
  given: readonly string[] | undefined,
  config: ConfigFile | null,
  inherited: IdMap | null,
): IdMap | null {
  if (given !== undefined) return given.length === 0 ? null : parseIdMap(given);
  return (config && idMapOf(config)) ?? inherited;
}

/**
 * Whether containers with that id map can start here.
 *
 * @param paths directories that their root has to get into
 * @throws {StoreError} REFUSED if one is closed to it
 */
export function requireMappable(context: Context, idMap: IdMap, paths: readonly string[]): void {
  const root = rootOf(idMap);
  for (const path of paths) {
    for (let at = realpathSync(path); ; at = dirname(at)) {
      if (!mayPass(at, root))
        throw new StoreError("REFUSED", {
          reason: `user ${root.uid}, which the container's root is outside, may not pass ${at} on the way to ${path}`,
          hint: `chmod o+x ${at}, or choose another place`,
        });
      if (at === "/") break;
    }
  }
  const lacking = lackingRanges(idMap);
  if (lacking.length > 0) warn(context, `LXC will not start it before these lines are there: ${lacking.join(", ")}`);
}

/**
 * The id map that an export has, if the record or the config of the container on it has that.
 *
 * @throws {StoreError} REFUSED if neither does
 */
export function idMapOfExport(key: ExportKey, ref: ContainerRef | undefined, config: ConfigFile): IdMap | null {
  const { map } = partsOfKey(key);
  if (map === undefined) return null;
  for (const idMap of [ref?.idMap ?? null, idMapOf(config)]) if (mapOf(idMap) === map) return idMap;
  throw new StoreError("REFUSED", {
    reason: `the container stands on files for another id map than its config has: ${formatIdMap(idMapOf(config) ?? { uids: [], gids: [] }).join(" ")}`,
    hint: "clone it with --idmap, or put its lxc.idmap back",
  });
}

/** Of a container whose config was given another map than its files are for. */
export function warnOfOtherIdMap(context: Context, name: string, config: ConfigFile, idMap: IdMap | null): void {
  if (hasIdMap(config, idMap)) return;
  const has = idMap === null ? "no id map" : formatIdMap(idMap).join(" ");
  warn(
    context,
    `${name}: its config's lxc.idmap was changed, but its files are for ${has}: delta0 lxc repair ${name} puts it back, delta0 clone --idmap changes it`,
  );
}

export function warnOfLosses(context: Context, what: string, losses: Losses): void {
  for (const { kind, count, examples } of losses)
    warn(context, `${what} lacks what it could not keep: ${kind} (${count}), as ${examples[0] ?? ""}`);
}

function mayPass(directory: string, { uid, gid }: { readonly uid: number; readonly gid: number }): boolean {
  const stat = lstatSync(directory);
  const bit = stat.uid === uid ? 0o100 : stat.gid === gid ? 0o010 : 0o001;
  if ((stat.mode & bit) !== 0) return true;
  // What an ACL says is left to the start.
  using handle = DirectoryHandle.open(directory);
  return handle.xattrs().some(({ name }) => name === ACCESS_ACL);
}
