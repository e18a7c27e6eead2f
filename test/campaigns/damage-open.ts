import { Store } from "../../src/index.ts";
import { StoreError } from "../../src/errors.ts";
import { NAMES, readAll } from "./damage-scene.ts";

// Opens a store as any command would, and tells what it shows. In a process of its own: LevelDB ends it on some damage of its tables.
const [directory = ""] = process.argv.slice(2);
try {
  await using store = await Store.open(directory);
  const { trees, entries, upper, problems, hit } = await readAll(store, NAMES);
  const nested = Array.from(entries, ([name, found]) => [name, [...found]]);
  process.stdout.write(
    JSON.stringify({ trees: [...trees], entries: nested, upper: [...upper], problems, hit: [...hit] }),
  );
} catch (error) {
  if (!(error instanceof StoreError)) throw error;
  const { code, hint, message } = error as StoreError;
  process.stdout.write(JSON.stringify({ code, hint, message }));
}
