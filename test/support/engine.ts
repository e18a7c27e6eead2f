import { ChunkStore } from "../../src/chunks/chunk-store.ts";
import { ContentStore } from "../../src/chunks/content-store.ts";
import { NodeStore } from "../../src/chunks/node-store.ts";
import { Kv } from "../../src/kv/kv.ts";
import { TreeStore } from "../../src/trees/tree-store.ts";
import { existsSync } from "node:fs";
import { temporaryDirectory } from "./temporary.ts";

/** The parts of a store below names, on databases of their own. */
export interface Engine extends AsyncDisposable {
  readonly values: Kv;
  readonly meta: Kv;
  readonly chunks: ChunkStore;
  readonly nodes: NodeStore;
  readonly content: ContentStore;
  readonly trees: TreeStore;
  /** Makes all that was put durable. */
  flush(): Promise<void>;
}

/** @param directory where the databases are, or are to be; the caller's. Default: a temporary one */
export async function openEngine(directory?: string): Promise<Engine> {
  const owned = directory === undefined ? await temporaryDirectory() : undefined;
  const path = directory ?? owned?.path ?? "";
  const create = !existsSync(`${path}/meta`);
  const values = await Kv.open(`${path}/chunks`, { create });
  const meta = await Kv.open(`${path}/meta`, { create });
  const chunks = await ChunkStore.open(values, meta);
  const nodes = new NodeStore(meta);
  return {
    values,
    meta,
    chunks,
    nodes,
    content: new ContentStore(chunks, nodes),
    trees: new TreeStore(nodes),
    flush: async () => {
      await chunks.flush();
      await nodes.flush();
      await meta.barrier();
    },
    [Symbol.asyncDispose]: async () => {
      await meta[Symbol.asyncDispose]();
      await values[Symbol.asyncDispose]();
      await owned?.[Symbol.asyncDispose]();
    },
  };
}
