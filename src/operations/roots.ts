import type { Ref } from "../containers/records.ts";
import type { StoreError } from "../errors.ts";
import type { ExportKey } from "../exports/export-key.ts";
import { partsOfKey } from "../exports/export-key.ts";
import type { Marker } from "../containers/marker.ts";
import type { Digest } from "../model/digest.ts";
import type { Context } from "./context.ts";
import { ExportUsers } from "./export-users.ts";

/** Why something is kept. */
export type Root =
  | { readonly type: "name"; readonly name: string; readonly ref: Ref }
  /** A name meant it before or after a change that is within grace. */
  | {
      readonly type: "history";
      readonly name: string;
      readonly ref: Ref;
      readonly time: string;
      readonly command: string;
    }
  | { readonly type: "export"; readonly key: ExportKey; readonly tree: Digest }
  /** What views changed of a container lies over it. */
  | { readonly type: "upper"; readonly name: string; readonly tree: Digest };

export interface RootsOptions {
  /** Changes of names from this time on count, RFC 3339 UTC. */
  readonly since: string;
  /** Names that are treated as if they were removed, and nothing remembered them. */
  readonly without?: ReadonlySet<string>;
  /** Exports that are treated as if they were removed. */
  readonly withoutExports?: ReadonlySet<ExportKey>;
}

/**
 * All that keeps trees in the store, but for what operations that run have claimed. Names come first.
 *
 * @throws {StoreError} FORMAT_INVALID if a record cannot be read: nobody knows what it keeps
 */
export async function* roots(
  context: Context,
  { since, without = NONE, withoutExports = NONE }: RootsOptions,
): AsyncGenerator<Root> {
  const { store } = context;
  for (const [name, ref] of await store.refs.list(raise)) if (!without.has(name)) yield { type: "name", name, ref };
  for await (const [name, header] of store.uppers.headers())
    if (header !== undefined && !without.has(name)) yield { type: "upper", name, tree: header.base };
  const present = new Set(store.exports.keys());
  for (const key of present) if (!withoutExports.has(key)) yield { type: "export", key, tree: partsOfKey(key).tree };
  // Those that containers stand on and no start has made yet: what is below one's own tree has no other name, perhaps.
  const users = await ExportUsers.find(context);
  for (const key of users.keys()) {
    if (present.has(key) || users.of(key).every((name) => without.has(name))) continue;
    const { tree } = partsOfKey(key);
    if (store.nodes.has(tree)) yield { type: "export", key, tree };
  }
  for await (const { time, command, changes } of store.refs.history()) {
    if (time < since) return;
    for (const { name, before, after } of changes)
      for (const ref of [before, after]) if (ref !== null) yield { type: "history", name, ref, time, command };
  }
}

export function markRoot(marker: Marker, root: Root): void {
  if ("ref" in root) marker.markRef(root.ref);
  else marker.markTree(root.tree);
}

const NONE: ReadonlySet<never> = new Set();

function raise(_name: string, error: StoreError): never {
  throw error;
}
