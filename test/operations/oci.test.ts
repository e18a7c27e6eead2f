import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { clone, create, exportTree, importLayer, list, tag } from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { comparePaths } from "../../src/model/name.ts";
import { compress } from "../../src/sys/zstd.ts";
import { walkBelow } from "../../src/trees/walk.ts";
import { archive, END, entry } from "../sources/tar-support.ts";
import { requireCommands } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { openTestStore } from "../support/store.ts";

/** What one layer's tar has, in its order: bytes of a file, null for a directory. */
type Entries = readonly (readonly [path: string, bytes: string | null])[];
type Json = Record<string, unknown>;

function tarOf(entries: Entries): Buffer {
  const parts = entries.map(([path, bytes]) =>
    bytes === null ? entry({ name: `${path}/`, type: "5", mode: 0o755 }) : entry({ name: path }, bytes),
  );
  return archive(...parts, END);
}

function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

class Layout {
  readonly path: string;
  readonly #manifests: Json[] = [];

  constructor(path: string) {
    this.path = path;
    mkdirSync(`${path}/blobs/sha256`, { recursive: true });
    writeFileSync(`${path}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
  }

  put(bytes: Uint8Array | string, more: Json = {}): Json {
    writeFileSync(this.blob(sha256(bytes)), bytes);
    return { digest: sha256(bytes), size: Buffer.byteLength(bytes), ...more };
  }

  blob(digest: string): string {
    return `${this.path}/blobs/${digest.replace(":", "/")}`;
  }

  /** @returns its manifest's descriptor, which is in no index yet */
  image(tars: readonly Buffer[], pack: (tar: Buffer) => Uint8Array = gzipSync): Json {
    const layers = tars.map((tar) => this.put(pack(tar), { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" }));
    const config = this.put(JSON.stringify({ rootfs: { type: "layers", diff_ids: tars.map(sha256) } }));
    return this.put(JSON.stringify({ schemaVersion: 2, config, layers }));
  }

  tag(descriptor: Json, name?: string): void {
    const annotations = name === undefined ? {} : { "org.opencontainers.image.ref.name": name };
    this.#manifests.push({ ...descriptor, annotations });
    this.index(this.#manifests);
  }

  index(manifests: readonly Json[]): void {
    writeFileSync(`${this.path}/index.json`, JSON.stringify({ schemaVersion: 2, manifests }));
  }
}

/** Paths of a layer with what its files hold; directories null. */
async function shownBy(context: Context, source: string): Promise<Map<string, string | null>> {
  const { digest } = await importLayer(context, { source, name: "shown", replace: true });
  const { trees, content } = context.store;
  const shown = new Map<string, string | null>();
  for (const [path, node] of walkBelow(trees, "", trees.tree(digest).root)) {
    const bytes =
      node.type === "file" ? Array.from(content.pieces(node.content), (piece) => Buffer.from(piece as Uint8Array)) : [];
    shown.set(path, node.type === "file" ? Buffer.concat(bytes).toString() : null);
  }
  return shown;
}

/** What layers show, slowly: a map that each of them changes, its marks first. */
function shownNaively(layers: readonly Entries[]): Map<string, string | null> {
  let shown = new Map<string, string | null>();
  const removeBelow = (path: string): void => {
    for (const other of shown.keys()) if (other.startsWith(path === "" ? "" : `${path}/`)) shown.delete(other);
  };
  for (const entries of layers) {
    for (const [path] of entries) {
      const [, parent = "", name = ""] = /^(?:(.*)\/)?([^/]*)$/.exec(path) ?? [];
      if (name === ".wh..wh..opq") removeBelow(parent);
      else if (name.startsWith(".wh.")) {
        const hidden = [parent, name.slice(4)].filter((part) => part !== "").join("/");
        shown.delete(hidden);
        removeBelow(hidden);
      }
    }
    for (const [path, bytes] of entries) {
      if (/(^|\/)\.wh\./.test(path)) continue;
      if (bytes !== null) removeBelow(path);
      shown.set(path, bytes);
    }
  }
  shown = new Map([...shown].sort(([a], [b]) => comparePaths(a, b)));
  return shown;
}

/** Layers as builders of images write them: each entry after the directories that it is in. */
const layersOfImages: fc.Arbitrary<Entries[]> = fc.array(
  fc
    .record({
      files: fc.dictionary(fc.constantFrom("a", "d/a", "d/b", "d/e/a", "d/e/b", "f/a"), fc.constantFrom("1", "2", ""), {
        noNullPrototype: true,
      }),
      marks: fc.uniqueArray(
        fc.constantFrom(
          ".wh.a",
          ".wh.d",
          "d/.wh.a",
          "d/.wh.e",
          "d/.wh..wh..opq",
          "d/e/.wh..wh..opq",
          ".wh..wh.plnk",
          ".wh.no",
        ),
        { maxLength: 3 },
      ),
      marksFirst: fc.boolean(),
    })
    .map(({ files, marks, marksFirst }): Entries => {
      const directories = new Set<string>();
      for (const path of Object.keys(files))
        for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1))
          directories.add(path.slice(0, at));
      const puts: Entries = [...[...directories].sort().map((path) => [path, null] as const), ...Object.entries(files)];
      const whiteouts: Entries = marks.map((path) => [path, ""]);
      return marksFirst ? [...whiteouts, ...puts] : [...puts, ...whiteouts];
    }),
  { minLength: 1, maxLength: 4 },
);

test("oci: any layers show what a map that each of them changes would show, however they are compressed", async () => {
  await using at = await openTestStore();
  let number = 0;
  const packs = [gzipSync, (tar: Buffer) => compress(tar, 3), (tar: Buffer) => tar];
  await fc.assert(
    fc.asyncProperty(layersOfImages, fc.constantFrom(...packs), async (layers, pack) => {
      const layout = new Layout(`${at.path}/image${number++}`);
      layout.tag(layout.image(layers.map(tarOf), pack));
      assert.deepEqual(await shownBy(at.context, `oci:${layout.path}`), shownNaively(layers));
    }),
    { numRuns: 60 },
  );
});

test("oci: an export reads back as the same tree, is the same bytes each time, and is in place only when it is whole", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  mkdirSync(`${source}/d`, { recursive: true });
  for (let i = 0; i < 30; i++) writeFileSync(`${source}/d/${i}`, `file ${i} `.repeat(i * 1000));
  symlinkSync("d/1", `${source}/link`);
  const { digest } = await importLayer(at.context, { source, name: "base" });
  await exportTree(at.context, { ref: "base", target: `oci:${at.path}/one:v1` });
  await exportTree(at.context, { ref: "base", target: `oci:${at.path}/two:v1` });
  const blobs = readdirSync(`${at.path}/one/blobs/sha256`);
  assert.equal(blobs.length, 3);
  for (const file of [...blobs.map((name) => `blobs/sha256/${name}`), "index.json", "oci-layout"])
    assert.ok(readFileSync(`${at.path}/one/${file}`).equals(readFileSync(`${at.path}/two/${file}`)), file);
  for (const name of blobs) assert.equal(sha256(readFileSync(`${at.path}/one/blobs/sha256/${name}`)), `sha256:${name}`);
  assert.equal((await importLayer(at.context, { source: `oci:${at.path}/one`, name: "again" })).digest, digest);
  assert.equal(
    (await create(at.context, { source: `oci:${at.path}/one:v1`, name: "web", noLxc: true })).digest,
    digest,
  );
  await clone(at.context, { ref: "web", names: ["web2"], noLxc: true });
  await exportTree(at.context, { ref: "web2", target: `oci:${at.path}/three` });
  await tag(at.context, { ref: "web2", name: "tagged" });
  await assert.rejects(exportTree(at.context, { ref: "base", target: `oci:${at.path}/one:v2` }), { code: "EXISTS" });
  await assert.rejects(exportTree(at.context, { ref: "base", target: `oci:${at.path}/no/such` }), {
    code: "NOT_FOUND",
  });
  await assert.rejects(exportTree(at.context, { ref: "base", target: `oci:${at.path}/v`, verify: true }), {
    code: "USAGE",
  });
  assert.deepEqual(readdirSync(at.path).sort(), ["one", "source", "store", "three", "two"]);
});

test("oci: an image is found by its tag, and by this host's architecture where there are several", async () => {
  await using at = await openTestStore();
  const layout = new Layout(`${at.path}/image`);
  const imageOf = (text: string): Json => layout.image([tarOf([["it", text]])]);
  const shown = async (place: string): Promise<unknown> =>
    (await shownBy(at.context, `oci:${layout.path}${place}`)).get("it");
  const platform = (architecture: string): Json => ({ platform: { os: "linux", architecture } });
  const index = layout.put(
    JSON.stringify({
      manifests: [
        { ...imageOf("for s390x"), ...platform("s390x") },
        { ...imageOf("for amd64"), ...platform("amd64") },
        { ...imageOf("for arm64"), ...platform("arm64") },
      ],
    }),
  );
  layout.tag(index, "multi");
  const ours = process.arch === "x64" ? "for amd64" : `for ${process.arch}`;
  assert.equal(await shown(""), ours);
  layout.tag(imageOf("one"), "docker.io/library/one:1");
  assert.equal(await shown(":docker.io/library/one:1"), "one");
  assert.equal(await shown(":multi"), ours);
  await assert.rejects(shown(""), { code: "USAGE" });
  await assert.rejects(shown(":no"), { code: "NOT_FOUND" });
  layout.tag(
    {
      ...layout.put(
        JSON.stringify({
          manifests: [
            { ...imageOf("x"), ...platform("s390x") },
            { ...imageOf("y"), ...platform("mips") },
          ],
        }),
      ),
    },
    "foreign",
  );
  await assert.rejects(shown(":foreign"), { code: "SOURCE_INVALID" });
});

test("oci: what is missing, changed, cut, or leads elsewhere is refused, and nothing is imported", async () => {
  await using at = await openTestStore();
  const tar = tarOf([["it", "x".repeat(5000)]]);
  const layer = gzipSync(tar);
  const broken: Record<string, (layout: Layout) => void> = {
    "no layout": ({ path }) => {
      rmSync(`${path}/index.json`);
    },
    "no JSON": ({ path }) => {
      writeFileSync(`${path}/index.json`, "{");
    },
    "a lost layer": (layout) => {
      rmSync(layout.blob(sha256(layer)));
    },
    "a layer that is changed": (layout) => {
      const other = Buffer.from(layer);
      other[other.length - 9] = (other[other.length - 9] ?? 0) ^ 1;
      writeFileSync(layout.blob(sha256(layer)), other);
    },
    "a layer that is cut": (layout) => {
      writeFileSync(layout.blob(sha256(layer)), layer.subarray(0, 40));
    },
    "a layer that is a symlink": (layout) => {
      rmSync(layout.blob(sha256(layer)));
      symlinkSync("/etc/passwd", layout.blob(sha256(layer)));
    },
    "digests that lead out": (layout) => {
      layout.index([{ digest: "sha256:../../../../etc/passwd", size: 5 }]);
    },
    "an index without images": (layout) => {
      layout.index([]);
    },
    "an index that is its own": (layout) => {
      let index = layout.put("{}");
      for (let i = 0; i < 10; i++) index = layout.put(JSON.stringify({ manifests: [index], i }));
      layout.index([index]);
    },
    "a manifest of gigabytes": (layout) => {
      layout.index([{ ...layout.put("{}"), size: 5e9 }]);
    },
    "another tar than the config says": (layout) => {
      const config = layout.put(JSON.stringify({ rootfs: { diff_ids: [sha256("other")] } }));
      layout.index([layout.put(JSON.stringify({ config, layers: [layout.put(layer)] }))]);
    },
    "fewer layers than the config says": (layout) => {
      const config = layout.put(JSON.stringify({ rootfs: { diff_ids: [sha256(tar), sha256(tar)] } }));
      layout.index([layout.put(JSON.stringify({ config, layers: [layout.put(layer)] }))]);
    },
    "no layers": (layout) => {
      layout.index([layout.image([])]);
    },
    "a name that leads out": (layout) => {
      layout.index([layout.image([tarOf([["../it", "x"]])])]);
    },
  };
  for (const [what, damage] of Object.entries(broken)) {
    const layout = new Layout(`${at.path}/${what}`);
    layout.tag(layout.image([tar]));
    damage(layout);
    await assert.rejects(
      importLayer(at.context, { source: `oci:${layout.path}`, name: "it" }),
      { code: "SOURCE_INVALID" },
      what,
    );
  }
  await assert.rejects(importLayer(at.context, { source: "oci:", name: "it" }), { code: "USAGE" });
  assert.deepEqual(await list(at.context), []);
});

test("oci: umoci and skopeo read what is exported, and what they write comes back as they unpack it", async (t) => {
  if (!requireCommands(t, "umoci", "skopeo")) return;
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  for (const directory of ["etc", "gone", "opaque/below"]) mkdirSync(`${source}/${directory}`, { recursive: true });
  for (const file of ["etc/a", "gone/b", "opaque/c", "opaque/below/d"]) writeFileSync(`${source}/${file}`, file);
  symlinkSync("a", `${source}/etc/link`);
  await importLayer(at.context, { source, name: "base" });
  const [image, bundle] = [`${at.path}/image`, `${at.path}/bundle`];
  await exportTree(at.context, { ref: "base", target: `oci:${image}:v1` });
  await run("skopeo", ["inspect", `oci:${image}:v1`]);
  await run("umoci", ["unpack", "--image", `${image}:v1`, bundle]);
  assert.deepEqual(await shownBy(at.context, `${bundle}/rootfs`), await shownBy(at.context, source));
  rmSync(`${bundle}/rootfs/gone`, { recursive: true });
  rmSync(`${bundle}/rootfs/opaque`, { recursive: true });
  mkdirSync(`${bundle}/rootfs/opaque`);
  writeFileSync(`${bundle}/rootfs/opaque/new`, "new");
  writeFileSync(`${bundle}/rootfs/etc/a`, "changed");
  await run("umoci", ["repack", "--image", `${image}:v2`, bundle]);
  await run("skopeo", ["copy", `oci:${image}:v2`, `oci:${at.path}/copy:v2`]);
  const expected = await shownBy(at.context, `${bundle}/rootfs`);
  for (const place of [`oci:${image}:v2`, `oci:${at.path}/copy`])
    assert.deepEqual(await shownBy(at.context, place), expected);
  assert.ok(!expected.has("opaque/c") && expected.get("opaque/new") === "new");
});
