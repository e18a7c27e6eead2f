import type { Context } from "../../src/index.ts";
import { Store } from "../../src/index.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface TestStore extends AsyncDisposable {
  readonly store: Store;
  readonly context: Context;
  /** What the operations warned of. */
  readonly warnings: string[];
  /** A directory for the test's own files, beside the store. */
  readonly path: string;
}

/** A store in a temporary directory, with what operations need. */
export async function openTestStore(): Promise<TestStore> {
  const directory = await temporaryDirectory();
  const store = await Store.open(`${directory.path}/store`, { create: true, command: "a test" });
  const warnings: string[] = [];
  return {
    store,
    warnings,
    path: directory.path,
    context: { store, command: "a test", onWarning: (warning) => warnings.push(warning) },
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}
