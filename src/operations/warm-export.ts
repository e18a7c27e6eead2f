import { exportKey } from "../exports/export-key.ts";
import type { Digest } from "../model/digest.ts";
import type { Context } from "./context.ts";
import { warnOfLosses } from "./id-maps.ts";
import { settledRef } from "./settle.ts";

export interface WarmedExport {
  readonly digest: Digest;
  readonly path: string;
  /** False if it was there already. */
  readonly made: boolean;
}

/** Makes the shared export that containers of `ref` stand on: the first start of one has not to wait for it then. */
export async function warmExport(context: Context, { ref }: { readonly ref: string }): Promise<WarmedExport> {
  const { store, signal, onProgress } = context;
  const resolved = await settledRef(context, ref);
  const digest = resolved.kind === "container" ? resolved.ref.lower : resolved.tree;
  const idMap = resolved.kind === "container" ? resolved.ref.idMap : null;
  const written = await store.exports.ensure(digest, {
    idMap,
    signal,
    onProgress: (progress) => onProgress?.({ phase: "exporting", ...progress }),
  });
  warnOfLosses(context, "the export", written?.losses ?? []);
  return { digest, path: store.exports.path(exportKey(digest, idMap)), made: written !== undefined };
}
