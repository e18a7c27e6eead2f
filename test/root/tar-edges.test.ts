import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { importLayer } from "../../src/index.ts";
import { plainStream } from "../../src/sources/decompress.ts";
import { readStream, textAt } from "../sources/tar-support.ts";
import { requireCommands } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { openTestStore } from "../support/store.ts";

/** Lines of shell that leave `x.tar`, in a directory with the trees `one` and `two`. */
const EDGES: Readonly<Record<string, string>> = {
  "GNU tar, one appended to (-r)": "tar -cf x.tar -C one . && tar -rf x.tar -C two .",
  "GNU tar, two concatenated (-A)": "tar -cf x.tar -C one . && tar -cf y.tar -C two . && tar -Af x.tar y.tar",
  "GNU tar, one updated (-u)": "tar -cf x.tar -C one . && tar -uf x.tar -C two .",
  "GNU tar, with a label": "tar -cf x.tar -V label -C one . -C ../two .",
  "GNU tar, absolute names": 'tar -P -cf x.tar "$PWD/one" "$PWD/two"',
  "GNU tar, blocked by 1 and by 1000": "tar -b 1 -cf x.tar -C one . && tar -b 1000 -rf x.tar -C two .",
  "GNU tar, gzip members in a row":
    "tar -cf y.tar -C one . -C ../two . && { head -c 5000 y.tar | gzip; tail -c +5001 y.tar | gzip; } > x.tar",
  "GNU tar, zstd frames in a row":
    "tar -cf y.tar -C one . -C ../two . && { head -c 5000 y.tar | zstd; tail -c +5001 y.tar | zstd; } > x.tar",
  "bsdtar, one appended to (-r)": "bsdtar --format=pax -cf x.tar -C one . && bsdtar -rf x.tar -C two .",
  "bsdtar, another archive in it (@)": "tar -cf y.tar -C one . && bsdtar --format=pax -cf x.tar @y.tar -C two .",
  "Python, one appended to": `python3 -c '
import tarfile
with tarfile.open("x.tar", "w") as tar: tar.add("one", ".")
with tarfile.open("x.tar", "a") as tar: tar.add("two", ".")'`,
};

for (const [name, line] of Object.entries(EDGES)) {
  test(`tar edges: ${name}, is read as the program itself unpacks it`, async (t) => {
    if (!requireCommands(t, "tar", "bsdtar", "python3", "zstd")) return;
    await using at = await openTestStore();
    await mkdir(`${at.path}/out`);
    for (const tree of ["one", "two"]) {
      await mkdir(`${at.path}/${tree}`);
      await writeFile(`${at.path}/${tree}/both`, tree.repeat(3000));
      await writeFile(`${at.path}/${tree}/only-${tree}`, tree);
      await run("ln", ["only-" + tree, "link-" + tree], { cwd: `${at.path}/${tree}` });
    }
    await run("touch", ["-d", "2040-01-01", `${at.path}/two/both`]);
    await run("bash", ["-ec", line], { cwd: at.path });
    const unpack = "tar --no-same-owner -xf x.tar -C out --transform 's,^.*/\\(one\\|two\\)/,,'";
    await run("bash", ["-ec", unpack], { cwd: at.path });
    const { name: layer } = await importLayer(at.context, { source: `${at.path}/x.tar`, name: "x" });
    assert.equal(layer, "x");
    const tree = await readStream(plainStream(createReadStream(`${at.path}/x.tar`), { source: "x.tar" }));
    for (const file of ["both", "only-one", "only-two", "link-one", "link-two"]) {
      const path = [...tree.nodes.keys()].filter((path) => path === file || path.endsWith(`/${file}`)).at(-1);
      assert.equal(textAt(tree, path ?? file), await readFile(`${at.path}/out/${file}`, "latin1"), file);
    }
  });
}
