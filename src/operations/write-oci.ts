import { createHash } from "node:crypto";
import { mkdirSync, renameSync } from "node:fs";
import { open } from "node:fs/promises";
import { createGzip } from "node:zlib";
import type { Gzip } from "node:zlib";
import { OCI_REF_NAME, ociArchitecture } from "../sources/oci-layout.ts";
import { syncPath, writeFileDurably } from "../sys/durable.ts";

export interface ImageParams {
  readonly tag: string;
  /** RFC 3339. */
  readonly created: string;
}

type Output = (bytes: Uint8Array) => Promise<void>;

/**
 * Makes an OCI image layout with one image of one layer, compressed by gzip, which every tool reads. The same tar and parameters give the
 * same layout, as far as zlib compresses in one way. Source: the OCI image specification 1.1.
 *
 * @param directory new
 * @param writeTar gives the layer's tar to the output
 * @returns what `writeTar` does
 */
export async function writeOci<T>(
  directory: string,
  { tag, created }: ImageParams,
  writeTar: (output: Output) => Promise<T>,
): Promise<T> {
  const blobs = `${directory}/blobs/sha256`;
  mkdirSync(blobs, { recursive: true });
  const { written, layer, diffId } = await writeLayer(blobs, writeTar);
  const platform = { architecture: ociArchitecture(), os: "linux" };
  const config = putJson(blobs, CONFIG, {
    created,
    ...platform,
    config: {},
    rootfs: { type: "layers", diff_ids: [diffId] },
    history: [{ created, created_by: "delta0 export" }],
  });
  const manifest = putJson(blobs, MANIFEST, { schemaVersion: 2, mediaType: MANIFEST, config, layers: [layer] });
  const named = { ...manifest, annotations: { [OCI_REF_NAME]: tag }, platform };
  writeJson(`${directory}/index.json`, { schemaVersion: 2, mediaType: INDEX, manifests: [named] });
  writeJson(`${directory}/oci-layout`, { imageLayoutVersion: "1.0.0" });
  for (const path of [blobs, `${directory}/blobs`, directory]) syncPath(path);
  return written;
}

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar+gzip";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

async function writeLayer<T>(
  blobs: string,
  writeTar: (output: Output) => Promise<T>,
): Promise<{ written: T; layer: Descriptor; diffId: string }> {
  const partial = `${blobs}/layer`;
  await using file = await open(partial, "wx", 0o644);
  const [plain, zipped] = [createHash("sha256"), createHash("sha256")];
  const gzip = createGzip();
  let size = 0;
  const writing = (async () => {
    for await (const bytes of gzip as AsyncIterable<Buffer>) {
      zipped.update(bytes);
      size += bytes.length;
      for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
    }
  })();
  // A full disk ends the loop, and so destroys what it reads: then writes to that fail, and this is why.
  let failure: unknown;
  writing.catch((error: unknown) => (failure = error));
  let written: T;
  try {
    written = await writeTar(async (bytes) => {
      plain.update(bytes);
      // They are borrowed, and gzip reads them in a thread.
      await push(gzip, Uint8Array.from(bytes));
    });
  } catch (error) {
    gzip.destroy();
    await writing.catch(() => undefined);
    throw failure ?? error;
  }
  gzip.end();
  await writing;
  await file.sync();
  const hex = zipped.digest("hex");
  renameSync(partial, `${blobs}/${hex}`);
  const layer = { mediaType: LAYER, digest: `sha256:${hex}`, size };
  return { written, layer, diffId: `sha256:${plain.digest("hex")}` };
}

async function push(gzip: Gzip, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    gzip.write(bytes, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

function putJson(blobs: string, mediaType: string, value: object): Descriptor {
  const text = JSON.stringify(value);
  const hex = createHash("sha256").update(text).digest("hex");
  writeFileDurably(`${blobs}/${hex}`, text, 0o644);
  return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(text) };
}

function writeJson(path: string, value: object): void {
  writeFileDurably(path, JSON.stringify(value), 0o644);
}
