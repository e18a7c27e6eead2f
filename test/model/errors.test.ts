import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { errnoOf, isStoreError, PosixError, StoreError } from "../../src/errors.ts";
import type { StoreErrorCode, StoreErrorDetails } from "../../src/errors.ts";

const details: { readonly [C in StoreErrorCode]: StoreErrorDetails[C] } = {
  USAGE: { reason: "the-fact", hint: "do this" },
  NOT_FOUND: { what: "the-fact" },
  EXISTS: { what: "the-fact" },
  REFUSED: { reason: "the-fact" },
  RESULT_LOST: { command: "the-fact" },
  STORE_MISSING: { directory: "the-fact" },
  STORE_LOCKED: { directory: "/store", owner: "the-fact", waitedSeconds: 3 },
  FORMAT_INVALID: { record: "record", reason: "the-fact" },
  FORMAT_NEWER: { record: "the-fact", version: 2, supported: 1 },
  CHUNK_MISSING: { digest: "the-fact" },
  CHUNK_CORRUPT: { digest: "the-fact", actual: "other" },
  NODE_MISSING: { digest: "the-fact" },
  NODE_CORRUPT: { digest: "the-fact", actual: "other" },
  SOURCE_INVALID: { source: "file.tar", reason: "the-fact" },
  NOT_PERMITTED: { action: "the-fact" },
  NO_SPACE: { action: "the-fact" },
  LOSSES: { losses: ["one", "two"] },
  PROGRAM_FAILED: { program: "lxc-info", reason: "the-fact" },
  UNSUPPORTED: { what: "the-fact", hint: "do this" },
};

for (const code of Object.keys(details) as StoreErrorCode[]) {
  test(`errors: ${code} says in one line what was wrong, and narrows by its code alone`, () => {
    const cause = new Error("cause");
    const error: unknown = new StoreError(code, details[code], { cause });
    assert.ok(error instanceof StoreError);
    assert.ok(code === "LOSSES" ? error.message.includes("2") : error.message.includes("the-fact"));
    assert.ok(!error.message.includes("\n") && !error.message.includes("undefined"));
    assert.equal(error.cause, cause);
    assert.equal(error.name, "StoreError");
    assert.ok(isStoreError(error, code));
    assert.ok(!isStoreError(error, code === "USAGE" ? "EXISTS" : "USAGE"));
    assert.equal(error.hint, "hint" in details[code] ? "do this" : undefined);
    assert.equal(errnoOf(error), undefined);
  });
}

test("errors: a store in use is told without an owner too", () => {
  const error = new StoreError("STORE_LOCKED", { directory: "/store", waitedSeconds: 0 });
  assert.ok(!error.message.includes("undefined"));
});

test("errors: a PosixError looks as Node's own do", () => {
  const error = new PosixError("ENOENT", "lookup", "a/b");
  assert.equal(error.errno, -constants.errno.ENOENT);
  assert.deepEqual([error.code, error.syscall, error.path], ["ENOENT", "lookup", "a/b"]);
  assert.equal(errnoOf(error), "ENOENT");
  assert.equal(new PosixError("EIO", "read").path, undefined);
  assert.equal(errnoOf(Object.assign(new Error("x"), { code: "ENOSPC", syscall: "write" })), "ENOSPC");
  assert.equal(errnoOf(new Error("x")), undefined);
  assert.equal(errnoOf("ENOENT"), undefined);
});
