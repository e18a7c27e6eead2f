/**
 * Opens or makes a store and imports a source into it, for tests that need another user: worker.ts STORE SOURCE
 *
 * Prints the code of what failed, or the digest.
 */
import { importLayer, Store } from "../../src/index.ts";

const [directory = "", source = ""] = process.argv.slice(2);
try {
  await using store = await Store.open(directory, { create: true, waitSeconds: 0 });
  console.log((await importLayer({ store, command: "test" }, { source, name: `n${process.pid}` })).digest);
} catch (error) {
  console.log(error instanceof Error && "code" in error ? error.code : error);
}
