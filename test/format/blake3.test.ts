import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import fc from "fast-check";
import { blake3Implementation, digestBytesOf, digestOf, loadWasm } from "../../src/format/blake3.ts";

const wasm = loadWasm(createRequire(import.meta.url));

// The official vectors, by input length: byte i of an input is i % 251.
// Source: github.com/BLAKE3-team/BLAKE3, test_vectors/test_vectors.json, the first 32 bytes of "hash".
const vectors = JSON.parse(readFileSync(new URL("blake3.golden.json", import.meta.url), "utf8")) as Record<
  string,
  string
>;

test(`blake3: the official test vectors, ${blake3Implementation()} and wasm`, () => {
  assert.equal(Object.keys(vectors).length, 22);
  for (const [length, expected] of Object.entries(vectors)) {
    const input = Uint8Array.from({ length: Number(length) }, (_, i) => i % 251);
    assert.equal(digestOf(input), expected);
    assert.equal(wasm.digest(input).toString("hex"), expected);
  }
});

test("blake3: native and wasm agree on any bytes, wherever these lie in their buffer", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.nat(100), (bytes, skip) => {
      const view = bytes.subarray(skip);
      assert.deepEqual(digestBytesOf(view), wasm.digest(view));
      assert.equal(digestOf(view), digestOf(Uint8Array.from(view)));
    }),
  );
});
