import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { archive, entry, header, type HeaderFields, nodeAt, padded, pax, readTar, textAt } from "./tar-support.ts";

/** Runs of data by offset, in a file of `size` bytes. */
interface Sparse {
  readonly size: number;
  readonly runs: readonly (readonly [offset: number, text: string])[];
}

const FORMATS = ["old GNU", "star", "0.0", "0.1", "1.0"] as const;
type Format = (typeof FORMATS)[number];

const sparse: fc.Arbitrary<Sparse> = fc
  .tuple(fc.array(fc.tuple(fc.nat(5000), fc.integer({ min: 1, max: 700 })), { maxLength: 60 }), fc.nat(10_000))
  .map(([gaps, tail]) => {
    let size = 0;
    const runs = gaps.map(([gap, length], i) => {
      const run = [size + gap, String.fromCharCode(97 + (i % 26)).repeat(length)] as const;
      size += gap + length;
      return run;
    });
    return { size: size + tail, runs };
  });

function asBytes({ size, runs }: Sparse): string {
  const bytes = Buffer.alloc(size);
  for (const [offset, text] of runs) bytes.write(text, offset);
  return bytes.toString("latin1");
}

function encode(file: Sparse, format: Format): Buffer {
  const pairs: (readonly [number, number])[] = file.runs.map(([offset, text]) => [offset, text.length]);
  // As GNU tar does where a hole comes last.
  pairs.push([file.size, 0]);
  return encodeMap(pairs, file.size, file.runs.map(([, text]) => text).join(""), format);
}

function encodeMap(pairs: readonly (readonly [number, number])[], size: number, text: string, format: Format): Buffer {
  const sizeRecord = ["GNU.sparse.size", String(size)] as const;
  switch (format) {
    case "old GNU":
      return encodeBlocks(pairs, text, { dialect: "gnu", map: 386, goesOn: 482, size: [483, size] });
    case "star":
      return encodeBlocks(pairs, text, { dialect: "star", map: 356, goesOn: 355, size: [452, size] });
    case "0.0": {
      const records = pairs.flatMap(
        ([offset, length]) =>
          [
            ["GNU.sparse.offset", String(offset)],
            ["GNU.sparse.numbytes", String(length)],
          ] as const,
      );
      return Buffer.concat([pax([sizeRecord, ...records]), entry({ name: "f" }, text)]);
    }
    case "0.1": {
      const records = [sizeRecord, ["GNU.sparse.name", "f"], ["GNU.sparse.map", pairs.flat().join(",")]] as const;
      return Buffer.concat([pax(records), entry({ name: "GNUSparseFile.1/f" }, text)]);
    }
    case "1.0": {
      const records = [
        ["GNU.sparse.major", "1"],
        ["GNU.sparse.minor", "0"],
        ["GNU.sparse.name", "f"],
        ["GNU.sparse.realsize", String(size)],
      ] as const;
      const map = padded(Buffer.from([pairs.length, ...pairs.flat()].map((number) => `${number}\n`).join("")));
      const data = Buffer.concat([map, Buffer.from(text, "latin1")]);
      return Buffer.concat([pax(records), entry({ name: "GNUSparseFile.1/f" }, data)]);
    }
  }
}

function encodeBlocks(
  pairs: readonly (readonly [number, number])[],
  text: string,
  at: { dialect: NonNullable<HeaderFields["dialect"]>; map: number; goesOn: number; size: readonly [number, number] },
): Buffer {
  const octal = (value: number) => value.toString(8).padStart(11, "0") + "\0";
  const run = (some: typeof pairs) => some.map(([offset, length]) => octal(offset) + octal(length)).join("");
  const blocks: Buffer[] = [];
  for (let i = 4; i < pairs.length; i += 21) {
    const block = Buffer.alloc(512);
    block.write(run(pairs.slice(i, i + 21)), "latin1");
    block[504] = i + 21 < pairs.length ? 1 : 0;
    blocks.push(block);
  }
  const raw = {
    [at.map]: run(pairs.slice(0, 4)),
    [at.goesOn]: blocks.length > 0 ? "\x01" : "\0",
    [at.size[0]]: octal(at.size[1]),
  };
  return Buffer.concat([
    header({ name: "f", type: "S", size: text.length, dialect: at.dialect, raw }),
    ...blocks,
    padded(Buffer.from(text, "latin1")),
  ]);
}

for (const format of FORMATS) {
  test(`sparse ${format}: bytes and holes come back, and the entry that follows`, async () => {
    await fc.assert(
      fc.asyncProperty(sparse, fc.integer({ min: 50, max: 5000 }), async (file, pieceBytes) => {
        const read = await readTar(archive(encode(file, format), entry({ name: "next" }, "text")), pieceBytes);
        assert.equal(textAt(read, "f"), asBytes(file));
        assert.equal(textAt(read, "next"), "text");
        const { content } = nodeAt(read, "f", "file");
        const holes = file.size > file.runs.reduce((sum, [, text]) => sum + text.length, 0);
        assert.ok("sparse" in content && content.sparse === holes);
      }),
      { numRuns: 60 },
    );
  });

  for (const [what, pairs, size] of [
    [
      "out of order",
      [
        [10, 2],
        [0, 2],
      ],
      20,
    ],
    [
      "overlaps",
      [
        [0, 3],
        [2, 1],
      ],
      20,
    ],
    ["goes beyond the size", [[18, 4]], 20],
    ["has less data than stored", [[0, 3]], 20],
    ["has more data than stored", [[0, 5]], 20],
  ] as const) {
    test(`sparse ${format}: a map that ${what} is an invalid source`, async () => {
      await assert.rejects(readTar(archive(encodeMap(pairs, size, "text", format))), { code: "SOURCE_INVALID" });
    });
  }

  test(`sparse ${format}: cut short anywhere, it is an invalid source`, async () => {
    const file: Sparse = {
      size: 90_000,
      runs: Array.from({ length: 40 }, (_, i) => [i * 2000, "x".repeat(20)] as const),
    };
    const whole = encode(file, format);
    for (let cut = 1; cut < whole.length; cut += 97) {
      await assert.rejects(readTar(whole.subarray(0, cut)), { code: "SOURCE_INVALID" });
    }
  });

  test(`sparse ${format}: 4 TiB of hole cost nothing`, async () => {
    const size = format === "old GNU" || format === "star" ? 2 ** 33 - 1 : 2 ** 42;
    const read = await readTar(archive(encodeMap([[size - 4, 4]], size, "text", format)));
    const { content } = nodeAt(read, "f", "file");
    assert.ok("size" in content);
    assert.equal(content.size, size);
  });
}

test("sparse: a file that is one hole may have no map", async () => {
  for (const records of [
    [
      ["GNU.sparse.size", "5000"],
      ["GNU.sparse.numblocks", "0"],
    ],
    [
      ["GNU.sparse.size", "5000"],
      ["GNU.sparse.map", ""],
    ],
  ] as const) {
    const { content } = nodeAt(await readTar(archive(pax(records), entry({ name: "f" }))), "f", "file");
    assert.deepEqual(content, { size: 5000, sparse: true, root: null });
  }
});

test("sparse: a size of SCHILY.realsize goes before the header's", async () => {
  const read = await readTar(archive(pax([["SCHILY.realsize", "50"]]), encodeMap([[4, 4]], 8, "text", "star")));
  assert.equal(textAt(read, "f"), `\0\0\0\0text${"\0".repeat(42)}`);
});

for (const [what, records, data] of [
  ["an unknown version", [["GNU.sparse.major", "2"]], ""],
  ["a map without a size", [["GNU.sparse.map", "0,4"]], "text"],
  [
    "a map of an odd number of numbers",
    [
      ["GNU.sparse.size", "9"],
      ["GNU.sparse.map", "0,4,5"],
    ],
    "text",
  ],
  [
    "a map of no numbers",
    [
      ["GNU.sparse.size", "9"],
      ["GNU.sparse.map", "0,,x"],
    ],
    "text",
  ],
  [
    "an offset without a length",
    [
      ["GNU.sparse.size", "9"],
      ["GNU.sparse.offset", "0"],
      ["GNU.sparse.offset", "4"],
    ],
    "",
  ],
  [
    "a map that claims too much",
    [
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.realsize", "9"],
    ],
    "999999999999\n".padEnd(512),
  ],
  [
    "a map that has no end",
    [
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.realsize", "9"],
    ],
    "9\n".repeat(256),
  ],
  [
    "a map that is no text",
    [
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.realsize", "9"],
    ],
    "x".repeat(512),
  ],
] as const) {
  test(`sparse: ${what} is an invalid source`, async () => {
    await assert.rejects(readTar(archive(pax(records), entry({ name: "f" }, data))), { code: "SOURCE_INVALID" });
  });
}
