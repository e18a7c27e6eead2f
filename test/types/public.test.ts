import { test } from "node:test";
import { expectTypeOf } from "expect-type";
import { isStoreError, StoreError } from "../../src/errors.ts";
import type { StoreErrorCode, StoreErrorDetails } from "../../src/errors.ts";
import type { Change, RawNode } from "../../src/model/change.ts";
import { parseDigest } from "../../src/model/digest.ts";
import type { Digest } from "../../src/model/digest.ts";
import { isName, parseName } from "../../src/model/name.ts";
import type { Name } from "../../src/model/name.ts";
import type { DirectoryNode, Node } from "../../src/model/node.ts";

// The compiler checks these; run, they show only that they compile.

test("types: a code narrows an error to its details", () => {
  const error: unknown = new StoreError("CHUNK_MISSING", { digest: "0" });
  if (isStoreError(error, "CHUNK_CORRUPT"))
    expectTypeOf(error.details).toEqualTypeOf<{ digest: string; actual: string }>();
  if (isStoreError(error, "STORE_LOCKED")) {
    expectTypeOf(error).toEqualTypeOf<StoreError<"STORE_LOCKED">>();
    expectTypeOf(error.details.owner).toEqualTypeOf<string | undefined>();
  }
  expectTypeOf<StoreErrorCode>().toExtend<string>();
  expectTypeOf<StoreErrorDetails["LOSSES"]["losses"]>().toEqualTypeOf<readonly string[]>();
  expectTypeOf<ConstructorParameters<typeof StoreError<"CHUNK_MISSING">>[1]>().toEqualTypeOf<{ digest: string }>();
});

test("types: digests and names are no plain strings, and are made by parsing alone", () => {
  expectTypeOf<string>().not.toExtend<Digest>();
  expectTypeOf<string>().not.toExtend<Name>();
  expectTypeOf<Digest>().not.toExtend<Name>();
  expectTypeOf<Digest>().toExtend<string>();
  expectTypeOf(parseDigest).returns.toEqualTypeOf<Digest | undefined>();
  expectTypeOf(parseName).returns.toEqualTypeOf<Name | undefined>();
  const text: string = "a";
  if (isName(text)) expectTypeOf(text).toEqualTypeOf<Name>();
});

test("types: a node's type narrows it, and a source says nothing about listings and links", () => {
  expectTypeOf<Extract<Node, { type: "directory" }>>().toEqualTypeOf<DirectoryNode>();
  expectTypeOf<DirectoryNode["linked"]>().toEqualTypeOf<false>();
  expectTypeOf<RawNode>().not.toHaveProperty("linked");
  expectTypeOf<Extract<RawNode, { type: "directory" }>>().not.toHaveProperty("listing");
  expectTypeOf<Change["before"]>().toEqualTypeOf<Node | undefined>();
});
