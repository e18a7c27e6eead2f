import type { Digest } from "../model/digest.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
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
  const written = await store.exports.ensure(digest, {
    signal,
    onProgress: (progress) => onProgress?.({ phase: "exporting", ...progress }),
  });
  for (const { kind, count, examples } of written?.losses ?? [])
    warn(context, `the export lacks what it could not keep: ${kind} (${count}), as ${examples[0] ?? ""}`);
  return { digest, path: store.exports.path(digest), made: written !== undefined };
}
