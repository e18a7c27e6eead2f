import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createReadStream, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { isStoreError } from "../../src/errors.ts";
import { plainStream } from "../../src/sources/decompress.ts";
import { compress } from "../../src/sys/zstd.ts";
import { hasCommand } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Does not compress to nothing, so that a cut is inside of something. */
const PLAIN = Buffer.from(Uint8Array.from({ length: 600_000 }, (_, i) => Math.imul(i, i * 2654435761) >>> 26));

const FORMATS = {
  gzip: { pack: (bytes: Uint8Array) => gzipSync(bytes), program: undefined },
  zstd: { pack: (bytes: Uint8Array) => compress(bytes, 3), program: undefined },
  xz: { pack: packWith("xz"), program: "xz" },
  bzip2: { pack: packWith("bzip2"), program: "bzip2" },
} as const;

function packWith(program: string) {
  return (bytes: Uint8Array): Buffer => execFileSync(program, ["-c"], { input: bytes, maxBuffer: 1 << 30 });
}

function requireProgram(t: TestContext, program: string | undefined): boolean {
  if (program === undefined || hasCommand(program)) return true;
  t.skip(`${program} is not installed`);
  return false;
}

function* inPieces(bytes: Uint8Array, pieceBytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function plainOf(bytes: Uint8Array, pieceBytes = 65536): Promise<Buffer> {
  const pieces: Buffer[] = [];
  // Copied: pieces are borrowed.
  for await (const piece of plainStream(Readable.from(inPieces(bytes, pieceBytes)), { source: "x" }))
    pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

test("plain stream: what is not compressed passes as it is, also what only begins like it", async () => {
  const start = fc
    .constantFrom("", "\x1f", "\x1f\x8b", "BZh", "BZh9", "\xfd7zXZ", "\x28\xb5\x2f")
    .map((s) => Buffer.from(s, "latin1"));
  await fc.assert(
    fc.asyncProperty(
      start,
      fc.uint8Array({ maxLength: 50 }),
      fc.integer({ min: 1, max: 20 }),
      async (magic, rest, pieceBytes) => {
        const bytes = Buffer.concat([magic, Buffer.from("-"), rest]);
        assert.deepEqual(await plainOf(bytes, pieceBytes), bytes);
      },
    ),
  );
  assert.deepEqual(await plainOf(Buffer.alloc(0)), Buffer.alloc(0));
});

for (const [name, { pack, program }] of Object.entries(FORMATS)) {
  test(`plain stream: ${name} is unpacked, in one part or several, however the input is cut`, async (t) => {
    if (!requireProgram(t, program)) return;
    const [one, two] = [PLAIN.subarray(0, 200_000), PLAIN.subarray(200_000)];
    const packed = Buffer.concat([pack(one), pack(two)]);
    for (const pieceBytes of [7777, 1 << 20]) assert.deepEqual(await plainOf(packed, pieceBytes), PLAIN);
    assert.deepEqual(await plainOf(pack(one.subarray(0, 5)), 1), one.subarray(0, 5));
    assert.deepEqual(await plainOf(pack(Buffer.alloc(0)), 1), Buffer.alloc(0));
  });

  test(`plain stream: ${name} cut short at any byte is an invalid source`, async (t) => {
    if (!requireProgram(t, program)) return;
    const packed = pack(PLAIN);
    // The first bytes alone do not tell yet what it is.
    const cuts = [12, 13, 18, 25, packed.length - 1, packed.length - 5, packed.length - 9];
    for (let i = 1; i < 12; i++) cuts.push(Math.floor((i * packed.length) / 12));
    for (const cut of cuts) {
      await assert.rejects(plainOf(packed.subarray(0, cut)), { code: "SOURCE_INVALID" }, `cut at ${cut}`);
    }
  });

  test(`plain stream: ${name} with a byte changed gives its bytes or is an invalid source`, async (t) => {
    if (!requireProgram(t, program)) return;
    const packed = pack(PLAIN.subarray(0, 20_000));
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const damaged = Buffer.from(packed);
        damaged[12 + (at % (packed.length - 12))]! ^= flip;
        try {
          await plainOf(damaged);
        } catch (error) {
          if (!isStoreError(error, "SOURCE_INVALID")) throw error;
        }
      }),
      { numRuns: program === undefined ? 200 : 20 },
    );
  });

  test(`plain stream: ${name} of a bomb takes no more memory than its pieces`, async (t) => {
    if (!requireProgram(t, program)) return;
    const bomb = pack(Buffer.alloc(128 << 20));
    const before = process.memoryUsage().rss;
    let most = 0;
    let total = 0;
    for await (const piece of plainStream(Readable.from(inPieces(bomb, 65536)), { source: "x" })) {
      total += piece.length;
      most = Math.max(most, process.memoryUsage().rss - before);
      // A consumer that is slower than the decoder.
      if (total % (16 << 20) < piece.length) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(total, 128 << 20);
    assert.ok(most < 100 << 20, `${most >> 20} MiB`);
  });

  for (const how of ["left early", "damaged", "failing", "aborted"] as const) {
    test(`plain stream: ${name} ${how} ends at once, closes an input that hangs, and leaves no child`, async (t) => {
      if (!requireProgram(t, program)) return;
      const packed = pack(PLAIN);
      const bytes = Buffer.concat([packed, packed.subarray(0, packed.length >> 1)]);
      if (how === "damaged") bytes.fill(0x55, packed.length >> 1, (packed.length >> 1) + 100);
      const reason = new Error("the disk is gone");
      const controller = new AbortController();
      const { input, isClosed } = hangingInput(bytes, () => {
        if (how === "failing") input.destroy(reason);
        if (how === "aborted") controller.abort(reason);
      });
      const read = async () => {
        for await (const _ of plainStream(input, { source: "x", signal: controller.signal })) {
          if (how === "left early") break;
        }
      };
      if (how === "left early") await read();
      else if (how === "damaged") await assert.rejects(read(), { code: "SOURCE_INVALID" });
      else await assert.rejects(read(), (error) => error === reason);
      assert.ok(isClosed());
      if (program !== undefined) assert.deepEqual(children(program), []);
    });
  }
}

test("plain stream: a file that is left early is closed, compressed or not", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "file");
  for (const bytes of [PLAIN, FORMATS.gzip.pack(PLAIN), FORMATS.zstd.pack(PLAIN)]) {
    writeFileSync(path, bytes);
    const file = createReadStream(path, { highWaterMark: 1000 });
    for await (const _ of plainStream(file, { source: "x" })) break;
    // It closes its descriptor in a worker thread; were it not destroyed, this would not end.
    if (!file.closed) await once(file, "close");
  }
});

test("plain stream: a program that is not there is named, with what to install", async (t) => {
  if (!requireProgram(t, "xz")) return;
  const packed = FORMATS.xz.pack(PLAIN);
  const path = process.env["PATH"];
  process.env["PATH"] = "/nonexistent";
  try {
    await assert.rejects(plainOf(packed), { code: "PROGRAM_FAILED" });
  } finally {
    process.env["PATH"] = path;
  }
});

/** Gives `bytes`, then calls `then` once more is wanted, and gives nothing. */
function hangingInput(bytes: Uint8Array, then: () => void): { input: Readable; isClosed: () => boolean } {
  let given = false;
  let closed = false;
  const input = new Readable({
    read() {
      if (given) setImmediate(then);
      else this.push(bytes);
      given = true;
    },
    destroy(error, done) {
      closed = true;
      done(error);
    },
  });
  return { input, isClosed: () => closed };
}

/** This process' children that run `program`. */
function children(program: string): string[] {
  return readdirSync("/proc")
    .filter((pid) => /^[0-9]+$/.test(pid))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
        return stat.includes(`(${program})`) && stat.slice(stat.lastIndexOf(")")).split(" ")[2] === String(process.pid);
      } catch {
        return false; // it has just ended
      }
    });
}
