import { isStoreError, StoreError } from "../errors.ts";
import { nameOfKey, numberKey, numberOfKey, openBlock, openEntry, openNode, prefixRange } from "../format/upper.ts";
import type { UpperBlock, UpperRecord } from "../format/upper.ts";
import type { Kv } from "../kv/kv.ts";
import { isName } from "../model/name.ts";
import type { Name } from "../model/name.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import { FORMATS } from "./entry.ts";
import type { LowerEntry } from "./lower-entry.ts";
import type { LowerTree } from "./lower-tree.ts";
import { DamagedNode, FIRST_NEW_INO, UpperNode } from "./upper-node.ts";

/** What the records of an upper say. */
export interface LoadedUpper {
  readonly nodes: Map<number, UpperNode | DamagedNode>;
  /** Above all numbers that occur. */
  readonly nextIno: number;
  /** Of a record that belongs to no node. */
  readonly damage: StoreError | undefined;
}

/** Reads them. What is damaged, or missing, fails where it is come upon, and nowhere else. */
export async function loadUpper(kv: Kv, id: number, base: LowerTree): Promise<LoadedUpper> {
  const loader = new Loader(id, base);
  const records = (kind: "node" | "block" | "entry"): ReturnType<Kv["iterate"]> =>
    kv.iterate(prefixRange(numberKey(kind, id)));
  for await (const [key, value] of records("node")) loader.addNode(key, value);
  for await (const [key, value] of records("block")) loader.addBlock(key, value);
  for await (const [key, value] of records("entry")) loader.addEntry(key, value);
  loader.finish();
  return loader;
}

class Loader implements LoadedUpper {
  readonly nodes = new Map<number, UpperNode | DamagedNode>();
  nextIno: number = FIRST_NEW_INO;
  damage: StoreError | undefined;
  readonly #id: number;
  readonly #base: LowerTree;
  /** Records that each node has said to have. */
  readonly #parts = new Map<UpperNode, number>();
  readonly #entries: (readonly [directory: number, name: Name, ino: number | DamagedNode])[] = [];

  constructor(id: number, base: LowerTree) {
    this.#id = id;
    this.#base = base;
  }

  addNode(key: Uint8Array, value: Uint8Array): void {
    const ino = this.#inoOf(key, key.length === NODE_KEY_BYTES);
    if (ino === undefined) return;
    const node = readable(ino, () => this.#nodeOf(ino, openNode(key, value)));
    this.nodes.set(ino, node);
  }

  addBlock(key: Uint8Array, value: Uint8Array): void {
    const block = numberOfKey(key, 2);
    const ino = this.#inoOf(key, key.length === BLOCK_KEY_BYTES && !Number.isNaN(block));
    if (ino === undefined) return;
    const node = this.#nodeWithParts(ino);
    if (node === undefined) return;
    const state = readable(ino, () => this.#blockOf(node, block, openBlock(key, value)));
    if (state instanceof DamagedNode) this.nodes.set(ino, state);
    else if (node.body.type === "file") node.body.dirty.set(block, state);
  }

  addEntry(key: Uint8Array, value: Uint8Array): void {
    const name = key.length > NODE_KEY_BYTES ? nameOfKey(key, NODE_KEY_BYTES) : "";
    const directory = this.#inoOf(key, isName(name));
    if (directory === undefined || !isName(name)) return;
    const node = this.#nodeWithParts(directory);
    if (node !== undefined && node.body.type !== "directory")
      this.nodes.set(
        directory,
        new DamagedNode(directory, this.#invalid(directory, "has entries and is no directory")),
      );
    else if (node !== undefined) this.#entries.push([directory, name, readable(WHITEOUT, () => openEntry(key, value))]);
  }

  /** What could not be told before all records had been seen. */
  finish(): void {
    for (const [ino, node] of this.nodes) {
      if (!(node instanceof UpperNode) || node.body.type !== "file") continue;
      if (node.body.dirty.size !== this.#parts.get(node))
        this.nodes.set(ino, new DamagedNode(ino, this.#invalid(ino, "has lost some of its blocks")));
    }
    const named = new Set<number>([ROOT_INO]);
    for (const [directory, name, found] of this.#entries) {
      const node = this.nodes.get(directory);
      if (!(node instanceof UpperNode) || node.body.type !== "directory") continue;
      node.body.entries.set(name, found instanceof DamagedNode ? found : this.#entryOf(found, named));
    }
    for (const [ino, node] of this.nodes) {
      if (!(node instanceof UpperNode) || node.body.type !== "directory") continue;
      const { body } = node;
      if (body.entries.size !== this.#parts.get(node)) body.damage = this.#invalid(ino, "has lost some of its entries");
    }
  }

  #entryOf(ino: number, named: Set<number>): UpperNode | DamagedNode | null {
    if (ino === WHITEOUT) return null;
    this.#see(ino);
    const node = this.nodes.get(ino) ?? new DamagedNode(ino, this.#invalid(ino, "is not there"));
    // What has an entry and no record is damage of that one: who looks at it by number finds it, too.
    this.nodes.set(ino, node);
    if (node instanceof DamagedNode || !node.isDirectory) return node;
    if (named.has(ino)) return new DamagedNode(WHITEOUT, this.#invalid(ino, "is in two directories"));
    named.add(ino);
    return node;
  }

  /** @returns undefined for a key that is none, which is noted */
  #inoOf(key: Uint8Array, isKey: boolean): number | undefined {
    const ino = numberOfKey(key, 1);
    if (isKey && ino > 0) {
      this.#see(ino);
      return ino;
    }
    const record = `key ${Buffer.from(key).toString("hex")}`;
    this.damage ??= new StoreError("FORMAT_INVALID", { record, reason: "is none of an upper" });
    return undefined;
  }

  #see(ino: number): void {
    if (ino >= this.nextIno) this.nextIno = ino + 1;
  }

  /** Undefined if it is damaged; it is if it is not there. */
  #nodeWithParts(ino: number): UpperNode | undefined {
    const node = this.nodes.get(ino) ?? new DamagedNode(ino, this.#invalid(ino, "is not there"));
    this.nodes.set(ino, node);
    return node instanceof UpperNode ? node : undefined;
  }

  #nodeOf(ino: number, record: UpperRecord): UpperNode {
    const { node, origin } = record;
    if ((origin === null) !== ino >= FIRST_NEW_INO) throw this.#invalid(ino, "has a number that is not its own");
    let lower: LowerEntry | undefined;
    if (origin !== null) {
      lower = this.#base.entryAt(origin);
      if (lower === undefined || this.#base.inode(lower) !== ino || lower.format !== FORMATS[node.type])
        throw this.#invalid(ino, "is not what its base has there");
    }
    const found = UpperNode.of(ino, record, node.type === "directory" ? lower : undefined);
    this.#parts.set(found, record.parts);
    return found;
  }

  #blockOf(node: UpperNode, block: number, state: UpperBlock): UpperBlock {
    if (node.body.type !== "file") throw this.#invalid(node.ino, "has blocks and is no file");
    if (block * BLOCK_BYTES >= node.body.size) throw this.#invalid(node.ino, "has a block beyond its end");
    return state;
  }

  #invalid(ino: number, reason: string): StoreError {
    return new StoreError("FORMAT_INVALID", { record: `node ${ino} of upper ${this.#id}`, reason });
  }
}

const WHITEOUT = 0;
const ROOT_INO = 1;
const NODE_KEY_BYTES = 17;
const BLOCK_KEY_BYTES = 25;

function readable<T>(ino: number, read: () => T): T | DamagedNode {
  try {
    return read();
  } catch (error) {
    if (!isStoreError(error, "FORMAT_INVALID") && !isStoreError(error, "FORMAT_NEWER")) throw error;
    return new DamagedNode(ino, error);
  }
}
