import { createReadStream } from "node:fs";
import type { ContentWriter, RawChange } from "../model/change.ts";
import { plainStream } from "../sources/decompress.ts";
import { provenBytes, readOciImage, requireBlob } from "../sources/oci-layout.ts";
import { withoutOciMark } from "../sources/oci-marks.ts";
import { tarChanges } from "../sources/tar.ts";
import { TreeBuilder } from "../trees/builder.ts";
import type { Tree } from "../trees/tree-store.ts";
import type { Context } from "./context.ts";
import { StoreError } from "../errors.ts";

/** `oci:DIR[:TAG]`, with a directory that has no colon, as skopeo has it. */
export interface OciPlace {
  readonly directory: string;
  readonly tag: string | undefined;
}

/** @returns undefined for what is written otherwise */
export function parseOciPlace(text: string): OciPlace | undefined {
  const [, directory, tag] = /^oci:([^:]+)(?::(.+))?$/s.exec(text) ?? [];
  return directory === undefined ? undefined : { directory, tag };
}

export interface OciReading {
  readonly writer: ContentWriter;
  /** Makes of each change what it means; undefined: it is left out. */
  readonly keep: (change: RawChange) => RawChange | undefined;
  readonly onProgress: (progress: { readonly entries: number; readonly bytes: number }) => void;
}

/**
 * Reads an image's layers into a tree, one over the other. Each is proven before it is read.
 *
 * @throws {StoreError} SOURCE_INVALID, NOT_FOUND, USAGE
 */
export async function readOci({ store, signal }: Context, place: OciPlace, reading: OciReading): Promise<Tree> {
  const { writer, keep, onProgress } = reading;
  let tree: Tree | undefined;
  let [entries, bytes] = [0, 0];
  for (const layer of await readOciImage(place.directory, place.tag)) {
    const { path: source } = layer;
    await requireBlob(layer, signal);
    const plain = plainStream(createReadStream(source, { highWaterMark: 1 << 20 }), {
      source,
      ...(signal && { signal }),
    });
    const builder = new TreeBuilder(store.trees, tree);
    const before = { entries, bytes };
    const changes = tarChanges(provenBytes(plain, layer.diffId, source), writer, {
      source,
      ...(signal && { signal }),
      onProgress: (progress) => {
        entries = before.entries + progress.entries;
        bytes = before.bytes + progress.bytes;
        onProgress({ entries, bytes });
      },
    });
    for await (const batch of changes)
      for (const raw of batch) {
        const change = withoutOciMark(raw);
        const kept = change && keep(change);
        if (kept !== undefined) builder.apply(kept);
      }
    tree = builder.finish();
  }
  if (tree === undefined)
    throw new StoreError("SOURCE_INVALID", { source: place.directory, reason: "is an image without layers" });
  return tree;
}
