import type { StoreError } from "../errors.ts";
import { entryKey, numberKey, sealEntry, sealNode } from "../format/upper.ts";
import type { Name } from "../model/name.ts";
import type { Attributes, Entry } from "./entry.ts";
import { fileError } from "./file-error.ts";
import { LowerEntry } from "./lower-entry.ts";
import type { LowerTree } from "./lower-tree.ts";
import { loadUpper } from "./upper-loader.ts";
import type { UpperLog } from "./upper-log.ts";
import { bodyOf, DamagedNode, FIRST_NEW_INO, UpperNode } from "./upper-node.ts";
import type { DirectoryBody, UpperBody } from "./upper-node.ts";

/** A node whose body is known to be a directory's. */
export type UpperDirectory = UpperNode & { readonly body: DirectoryBody };

/**
 * What was changed over a base tree: nodes by inode number, and in each changed directory the entries that are not the base's.
 *
 * All of it but files' bytes is in memory, at about 550 bytes a node; the log has the same as records. Each method changes
 * both at once, so what is done between two awaits and then committed is on disk whole or not at all.
 *
 * A name of the base leads to a changed node by its inode number. So a change of a file touches no directory, all names
 * of a hard-link group see it, and a directory that is renamed takes what is below it along.
 */
export class Upper {
  readonly base: LowerTree;
  readonly log: UpperLog;
  readonly #id: number;
  readonly #beforeChange: () => void;
  /** Called when all was read anew. */
  onRestored: () => void = () => undefined;
  #nodes = new Map<number, UpperNode | DamagedNode>();
  readonly #handles = new Map<number, number>();
  #nextIno = FIRST_NEW_INO;
  #damage: StoreError | undefined;
  #exclusive: Promise<void> | undefined;
  #restoring: Promise<void> | undefined;
  /** Calls of `begin` within the one that is made. */
  #begins = 0;
  /** Why what is in memory is not what the log has, and could not be read anew. */
  #lost: { readonly cause: unknown } | undefined;
  /** Rises whenever a path may lead to something else than before. */
  generation = 1;
  /** Rises whenever what is in memory was thrown away and read anew. */
  era = 1;

  private constructor(log: UpperLog, id: number, base: LowerTree, beforeChange: () => void) {
    this.log = log;
    this.base = base;
    this.#id = id;
    this.#beforeChange = beforeChange;
    log.onFailure = () => this.#reload();
  }

  /**
   * Takes over `log`, borrows `base`. What of the records cannot be read fails where it is come upon, and nowhere else.
   *
   * @param beforeChange called before each change; what it throws keeps the change from being made
   */
  static async load(log: UpperLog, id: number, base: LowerTree, beforeChange: () => void): Promise<Upper> {
    const upper = new Upper(log, id, base, beforeChange);
    await upper.#load();
    return upper;
  }

  async #load(): Promise<void> {
    const { nodes, nextIno, damage } = await loadUpper(this.log.kv, this.#id, this.base);
    this.#nodes = nodes;
    this.#damage = damage;
    // No number is used twice: a handle may have one of what is no more.
    this.#nextIno = Math.max(this.#nextIno, nextIno);
    this.generation++;
    this.era++;
    // Files that were open without a name when their process ended.
    for (const node of nodes.values())
      if (node instanceof UpperNode && node.links === 0 && !this.isOpen(node.ino)) this.#discard(node);
    this.onRestored();
  }

  /** What a call left half done is undone: all is as the log has it, once that is written. */
  async #restore(): Promise<void> {
    await this.#reload(() => this.log.commit().catch(() => undefined));
  }

  async #reload(before: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    const work = async (): Promise<void> => {
      await before();
      await this.#load();
      this.#lost = undefined;
    };
    await this.#blocking(work).catch((error: unknown) => {
      this.#lost = { cause: error };
    });
  }

  /** @throws if what it shows is not what is stored */
  requireCurrent(): void {
    if (this.#lost !== undefined) throw fileError("EIO", "reading the store anew", undefined, this.#lost);
  }

  /** No call begins while `work` runs. */
  async #blocking(work: () => Promise<void>): Promise<void> {
    const running = work();
    const done = Promise.allSettled([this.#restoring, running]).then(() => {
      if (this.#restoring === done) this.#restoring = undefined;
    });
    this.#restoring = done;
    await running;
  }

  /** @throws {StoreError} FORMAT_INVALID if there is a record that is none of an upper's */
  requireWhole(): void {
    if (this.#damage !== undefined) throw this.#damage;
  }

  nodes(): Iterable<UpperNode | DamagedNode> {
    return this.#nodes.values();
  }

  get isEmpty(): boolean {
    return this.#nodes.size === 0;
  }

  /** What a base's number stands for now, if that is not as the base has it. */
  changed(ino: number): UpperNode | DamagedNode | undefined {
    return this.#nodes.get(ino);
  }

  /** Whoever changes something waits for this first, unless it is undefined. */
  get busy(): Promise<void> | undefined {
    return this.#restoring ?? this.#exclusive;
  }

  /** Nothing changes while `work` runs. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    const release = await this.acquire();
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** Nothing changes until what this gives is called. */
  async acquire(): Promise<() => void> {
    while (this.busy !== undefined) await this.busy;
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    this.#exclusive = released;
    return () => {
      this.#exclusive = undefined;
      release();
    };
  }

  /** Runs one call: as `UpperSession.change`. */
  async change<T>(work: () => T): Promise<T> {
    for (;;) {
      while (this.busy !== undefined) await this.busy;
      if (this.#lost !== undefined) await this.#reload();
      // While there is no room on the disk, each call would have to be undone for itself.
      else if (this.log.hasFailed) await this.log.recover();
      else break;
      this.requireCurrent();
    }
    this.#begins = 0;
    let result: T;
    try {
      result = work();
    } catch (error) {
      this.log.drop();
      if (this.#begins > 0) await this.#restore();
      throw error;
    }
    await this.log.commit();
    return result;
  }

  /** Comes before each change, within `change`. @throws what forbids it */
  begin(): void {
    this.#beforeChange();
    this.#begins++;
  }

  /** The entry as a node that can be changed. Its bytes stay where they are. */
  copyUp(entry: Entry): UpperNode {
    if (entry instanceof UpperNode) {
      // Made by a call that failed in the end.
      if (this.#nodes.get(entry.ino) !== entry) throw fileError("ESTALE", "open");
      return entry;
    }
    if (entry instanceof DamagedNode) throw entry.error;
    if (!(entry instanceof LowerEntry)) throw new TypeError("an entry of no kind");
    const { base } = this;
    const ino = base.inode(entry);
    const known = this.#nodes.get(ino);
    if (known !== undefined) return this.copyUp(known);
    const [origin] = base.names(entry);
    const lower = entry.isDirectory ? entry : undefined;
    const body = bodyOf(base.node(entry), lower);
    const node = new UpperNode(ino, origin, body, entry.mode & PERMISSIONS, entry.attributes, base.links(entry));
    this.#nodes.set(ino, node);
    this.generation++;
    return node;
  }

  /** @throws {StoreError} FORMAT_INVALID if it has lost entries */
  copyUpDirectory(entry: Entry): UpperDirectory {
    const directory = this.copyUp(entry) as UpperDirectory;
    if (directory.body.damage !== undefined) throw directory.body.damage;
    return directory;
  }

  /** A new node without a name yet. */
  create(body: UpperBody, permissions: number, attributes: Attributes): UpperNode {
    const node = new UpperNode(this.#nextIno++, undefined, body, permissions, attributes, 0);
    this.#nodes.set(node.ino, node);
    return node;
  }

  /** Gives a name to a node, or takes it from what has it. Links are counted by whoever calls. */
  setEntry(directory: UpperDirectory, name: string, node: UpperNode | undefined): void {
    const { body, ino } = directory;
    const key = entryKey(this.#id, ino, name);
    const inBase = body.lower !== undefined && this.base.find(body.lower, name) !== undefined;
    if (node !== undefined || inBase) {
      body.entries.set(name as Name, node ?? null);
      this.log.put(key, sealEntry(key, node?.ino ?? WHITEOUT));
    } else {
      body.entries.delete(name as Name);
      this.log.delete(key);
    }
    body.sorted = undefined;
    this.generation++;
  }

  /** Writes what the node is now. */
  save(node: UpperNode): void {
    const key = numberKey("node", this.#id, node.ino);
    this.log.put(key, sealNode(key, node.record()));
  }

  /** One name of it less. Without any it is gone, unless it is open. */
  removeName(node: UpperNode): void {
    node.links--;
    if (node.links > 0 || this.#handles.has(node.ino)) this.save(node);
    else this.#discard(node);
  }

  retain(ino: number): void {
    this.#handles.set(ino, (this.#handles.get(ino) ?? 0) + 1);
  }

  release(ino: number): void {
    const left = (this.#handles.get(ino) ?? 0) - 1;
    if (left > 0) {
      this.#handles.set(ino, left);
      return;
    }
    this.#handles.delete(ino);
    const node = this.#nodes.get(ino);
    if (!(node instanceof UpperNode) || node.links > 0) return;
    this.#discard(node);
    // Should this fail, the next to load the records discards it.
    this.log.commit().catch(() => undefined);
  }

  isOpen(ino: number): boolean {
    return this.#handles.has(ino);
  }

  blockKey(node: UpperNode, block: number): Buffer {
    return numberKey("block", this.#id, node.ino, block);
  }

  #discard(node: UpperNode): void {
    const { body, ino } = node;
    this.#nodes.delete(ino);
    this.log.delete(numberKey("node", this.#id, ino));
    if (body.type === "directory")
      for (const name of body.entries.keys()) this.log.delete(entryKey(this.#id, ino, name));
    if (body.type === "file") for (const block of body.dirty.keys()) this.deleteBlock(node, block);
  }

  /** Deletes the record of a block, and its bytes; it is up to the caller to forget it. */
  deleteBlock(node: UpperNode, block: number): void {
    const state = node.body.type === "file" ? node.body.dirty.get(block) : undefined;
    if (state === undefined) return;
    this.log.delete(this.blockKey(node, block));
    for (const piece of state.pieces) this.log.release(piece);
  }
}

const WHITEOUT = 0;
const PERMISSIONS = 0o7777;
