import { mkdirSync } from "node:fs";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import type { Context } from "../../src/index.ts";
import { openTestStore, type TestStore } from "../support/store.ts";

/** A store, and room for one sequence after the other: each has its own place. */
export class Scratch implements AsyncDisposable {
  readonly #store: TestStore;
  #next = 0;

  private constructor(store: TestStore) {
    this.#store = store;
  }

  static async make(): Promise<Scratch> {
    return new Scratch(await openTestStore());
  }

  get context(): Context {
    return this.#store.context;
  }

  place(): Place {
    return new Place(this.#store.path, `s${this.#next++}`);
  }

  /** Also unmounts what a sequence that failed has left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}

/** Gone with all that is in it at its disposal. */
export class Place implements Disposable {
  readonly name: string;
  readonly #parent: string;

  constructor(parent: string, name: string) {
    this.#parent = parent;
    this.name = name;
    mkdirSync(this.path);
  }

  get path(): string {
    return `${this.#parent}/${this.name}`;
  }

  /** A new directory of this place. */
  directory(name: string): string {
    const path = `${this.path}/${name}`;
    mkdirSync(path);
    return path;
  }

  [Symbol.dispose](): void {
    using parent = DirectoryHandle.open(this.#parent);
    parent.removeTree(this.name);
  }
}
