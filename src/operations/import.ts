import type { Layer, Ref } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { requireRoom } from "./room.ts";
import type { Context } from "./context.ts";
import { replaceable, resolveRef } from "./references.ts";
import { describeSource, readSource } from "./source.ts";
import type { SourceParams } from "./source.ts";

export interface ImportParams extends SourceParams {
  readonly name: string;
  readonly parent?: string;
  readonly message?: string;
  /** Moves the name if it stands for another layer. */
  readonly replace?: boolean;
}

export interface Imported {
  readonly name: string;
  readonly digest: Digest;
  readonly entries: number;
  readonly bytes: number;
  /** What the store grew by: chunks, compressed. */
  readonly newBytes: number;
  readonly newChunks: number;
  readonly replaced: boolean;
}

/** Makes a layer of a source. Until it is complete and durable nothing of it is visible. */
export async function importLayer(context: Context, params: ImportParams): Promise<Imported> {
  using _operation = context.store.begin();
  await requireRoom(context);
  const { store } = context;
  const { name, message = "" } = params;
  const before = replaceable(store, name, params.replace ?? false);
  const parent = params.parent === undefined ? null : await requireLayer(context, params.parent);
  const chunksBefore = store.chunks.stats();
  const tree = await readSource(context, params, { trustKnown: true });
  const layer: Layer = { tree: tree.digest, parent, created: timestamp(), message, source: describeSource(params) };
  const after: Ref = { type: "layer", layer: layerDigest(layer) };
  await store.change(context, [{ name, before, after }], [layer]);
  const chunks = store.chunks.stats();
  return {
    name,
    digest: tree.digest,
    entries: tree.root.listing.entries,
    bytes: tree.root.listing.bytes,
    newBytes: chunks.newStoredBytes - chunksBefore.newStoredBytes,
    newChunks: chunks.newChunks - chunksBefore.newChunks,
    replaced: before !== null,
  };
}

async function requireLayer(context: Context, text: string): Promise<Digest> {
  const found = await resolveRef(context.store, text);
  if (found.kind === "layer") return found.ref.layer;
  throw new StoreError("USAGE", { reason: `"${text}" is no layer, so it cannot be a parent` });
}
