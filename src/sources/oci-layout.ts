import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { errnoOf, StoreError } from "../errors.ts";

/** A blob of an OCI image layout, by what names it. */
export interface OciBlob {
  readonly path: string;
  /** "sha256:…" of the file. */
  readonly digest: string;
  readonly bytes: number;
}

export interface OciLayer extends OciBlob {
  /** "sha256:…" of the tar in it. */
  readonly diffId: string;
}

/**
 * The layers of an image in an OCI image layout, the lowest first. Of an index of several platforms it is the image of this one.
 * Source: the OCI image specification 1.1, image-layout.md, image-index.md, manifest.md, config.md.
 *
 * @param tag undefined: the only image there is
 * @throws {StoreError} SOURCE_INVALID for what is no layout, is damaged, or is encrypted; NOT_FOUND, USAGE for a tag
 */
export async function readOciImage(directory: string, tag: string | undefined): Promise<OciLayer[]> {
  const layout = new OciLayout(directory);
  const manifest = await layout.manifest(tag);
  const config = await layout.json(descriptorIn(manifest["config"], layout));
  const diffIds = list(asRecord(config["rootfs"])["diff_ids"]).map(String);
  const layers = list(manifest["layers"]).map((row) => descriptorIn(row, layout));
  if (diffIds.length !== layers.length) throw layout.invalid("has another number of layers than its config says");
  return layers.map((layer, i) => {
    if (/encrypted/.test(layer.mediaType)) throw layout.invalid("has an encrypted layer");
    return { path: layout.path(layer), digest: layer.digest, bytes: layer.size, diffId: diffIds[i] ?? "" };
  });
}

/**
 * The bytes of a stream as they are.
 *
 * @throws {StoreError} SOURCE_INVALID at the end if they are not those that the digest names
 */
export async function* provenBytes(
  input: AsyncIterable<Uint8Array>,
  digest: string,
  source: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const [, algorithm = ""] = DIGEST.exec(digest) ?? [];
  if (algorithm === "") throw new StoreError("SOURCE_INVALID", { source, reason: `has a digest of an unknown kind` });
  const hash = createHash(algorithm);
  for await (const bytes of input) {
    hash.update(bytes);
    yield bytes;
  }
  const actual = `${algorithm}:${hash.digest("hex")}`;
  if (actual !== digest)
    throw new StoreError("SOURCE_INVALID", {
      source,
      reason: `is not what its digest says (${digest}), but ${actual}`,
    });
}

/** Reads a blob once, to prove it. @throws {StoreError} SOURCE_INVALID */
export async function requireBlob({ path, digest, bytes }: OciBlob, signal: AbortSignal | undefined): Promise<void> {
  const found = await regularFile(path);
  if (found !== bytes)
    throw new StoreError("SOURCE_INVALID", { source: path, reason: `has ${found} bytes where ${bytes} should be` });
  for await (const _piece of provenBytes(createReadStream(path, { highWaterMark: 1 << 20 }), digest, path))
    signal?.throwIfAborted();
}

const DIGEST = /^(sha256|sha512):(?:[0-9a-f]{64}|[0-9a-f]{128})$/;
/** The specification's own bound for manifests. */
const MAX_JSON_BYTES = 4 << 20;
/** An index in an index in an index; hostile ones go on. */
const MAX_DEPTH = 4;
/** The annotation that is an image's tag. */
export const OCI_REF_NAME = "org.opencontainers.image.ref.name";

type Json = Readonly<Record<string, unknown>>;

interface Descriptor {
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
  readonly tag: string | undefined;
  readonly platform: Json | undefined;
}

class OciLayout {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  invalid(reason: string): StoreError {
    return new StoreError("SOURCE_INVALID", { source: this.#directory, reason });
  }

  path({ digest }: Pick<Descriptor, "digest">): string {
    return `${this.#directory}/blobs/${digest.replace(":", "/")}`;
  }

  async manifest(tag: string | undefined): Promise<Json> {
    const index = await this.#file(`${this.#directory}/index.json`);
    const all = list(index["manifests"]).map((row) => descriptorIn(row, this));
    const fitting = tag === undefined ? all : all.filter((row) => row.tag === tag);
    const tags = all.flatMap((row) => row.tag ?? []).join(", ");
    if (tag !== undefined && fitting.length === 0)
      throw new StoreError("NOT_FOUND", { what: `no image "${tag}" in ${this.#directory} (has: ${tags})` });
    if (tag === undefined && new Set(fitting.map((row) => row.tag)).size > 1)
      throw new StoreError("USAGE", {
        reason: `${this.#directory} has several images`,
        hint: `name one: oci:${this.#directory}:TAG (${tags})`,
      });
    return await this.#choose(fitting, MAX_DEPTH);
  }

  async #choose(descriptors: readonly Descriptor[], depth: number): Promise<Json> {
    const architecture = ociArchitecture();
    const ours = descriptors.filter(({ platform }) => platform?.["architecture"] === architecture);
    const chosen = descriptors.length === 1 ? descriptors[0] : ours[0];
    if (chosen === undefined) throw this.invalid(`has no image for ${architecture}`);
    const found = await this.json(chosen);
    if (found["manifests"] === undefined) return found;
    if (depth === 0) throw this.invalid("is nested too deeply");
    return await this.#choose(
      list(found["manifests"]).map((row) => descriptorIn(row, this)),
      depth - 1,
    );
  }

  async json(descriptor: Descriptor): Promise<Json> {
    const path = this.path(descriptor);
    if (descriptor.size > MAX_JSON_BYTES) throw this.invalid(`${descriptor.digest} is too large for what it is`);
    await requireBlob({ path, digest: descriptor.digest, bytes: descriptor.size }, undefined);
    return await this.#file(path);
  }

  async #file(path: string): Promise<Json> {
    if ((await regularFile(path)) > MAX_JSON_BYTES) throw this.invalid(`${path} is too large for what it is`);
    try {
      return asRecord(JSON.parse(readFileSync(path, "utf8")));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new StoreError("SOURCE_INVALID", { source: path, reason: "is no JSON" }, { cause: error });
    }
  }
}

/** Node's names of architectures, and those of Go. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386", ppc64: "ppc64le" };

/** What images of this host's architecture say. */
export function ociArchitecture(): string {
  return ARCHITECTURES[process.arch] ?? process.arch;
}

function descriptorIn(value: unknown, layout: OciLayout): Descriptor {
  const row = asRecord(value);
  const { digest, size, mediaType } = row;
  const tag = asRecord(row["annotations"])[OCI_REF_NAME];
  if (typeof digest !== "string" || !DIGEST.test(digest) || typeof size !== "number" || !(size >= 0))
    throw layout.invalid("has a descriptor that is none");
  return {
    digest,
    size,
    mediaType: typeof mediaType === "string" ? mediaType : "",
    tag: typeof tag === "string" ? tag : undefined,
    platform: row["platform"] === undefined ? undefined : asRecord(row["platform"]),
  };
}

function asRecord(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** @returns its size @throws {StoreError} SOURCE_INVALID unless it is one: pipes never end, and symlinks may lead anywhere */
async function regularFile(path: string): Promise<number> {
  try {
    const found = await lstat(path);
    if (found.isFile()) return found.size;
    throw new StoreError("SOURCE_INVALID", { source: path, reason: "is no regular file" });
  } catch (error) {
    if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) throw error;
    throw new StoreError("SOURCE_INVALID", { source: path, reason: "is missing" }, { cause: error });
  }
}
