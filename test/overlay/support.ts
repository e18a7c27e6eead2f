import { mkdirSync } from "node:fs";
import { importLayer } from "../../src/index.ts";
import type { TestStore } from "../support/store.ts";

/** A layer with nothing in it. */
export async function importEmpty({ context, path }: TestStore, name: string): Promise<void> {
  mkdirSync(`${path}/${name}`);
  await importLayer(context, { source: `${path}/${name}`, name });
}
