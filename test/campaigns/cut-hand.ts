import { randomBytes } from "node:crypto";
import { writeFileSync, writeSync } from "node:fs";
import { configure, list, show } from "../../src/index.ts";
import type { Context, Store } from "../../src/index.ts";
import { errnoOf } from "../../src/errors.ts";
import type { Line, Meaning, Plan } from "./cut-model.ts";

/** Where an actor works. */
export class Places {
  readonly path: string;
  /** What is imported is here, where no power is cut. */
  readonly #elsewhere: string;

  constructor(path: string, elsewhere: string) {
    this.path = path;
    this.#elsewhere = elsewhere;
  }

  get store(): string {
    return `${this.path}/store`;
  }
  get lxc(): string {
    return `${this.path}/lxc`;
  }
  /** A directory to import. */
  get source(): string {
    return `${this.#elsewhere}/source`;
  }
  get sourceTar(): string {
    return `${this.#elsewhere}/source.tar`;
  }
  /** For exports and backups. */
  get scratch(): string {
    return `${this.path}/scratch`;
  }
}

/** What an actor does commands with: it knows all names, draws some of them, and says what it is about to do and what it has done. */
export class Hand {
  readonly context: Context;
  readonly places: Places;
  readonly names = new Map<string, string>();
  /** Called when it has said what it is about to do. */
  onBegin: ((verb: string) => void) | undefined;
  /** How many steps were counted. */
  steps = (): number => 0;
  readonly #seed: number;
  #state: number;
  #serial = 0;

  private constructor(context: Context, places: Places, seed: number) {
    this.context = context;
    this.places = places;
    this.#seed = seed;
    this.#state = seed;
  }

  static async of(store: Store, places: Places, seed: number): Promise<Hand> {
    const hand = new Hand({ store, command: "actor" }, places, seed);
    for (const [name, digest] of await namesIn(hand.context)) hand.names.set(name, digest);
    return hand;
  }

  random(below: number): number {
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * below);
  }

  /** By its first letter everybody knows what it is: a layer, a container with an LXC directory, one without, a copy of LXC's alone, a snapshot, a place. */
  newName(kind: "l" | "c" | "p" | "x" | "s" | "t"): string {
    return `${kind}${this.#seed}-${this.#serial++}`;
  }

  named(kind: "l" | "c" | "p"): string[] {
    return [...this.names.keys()].filter((name) => name.startsWith(kind) && !name.includes("@"));
  }

  snapshotsOf(container: string): string[] {
    const prefix = `${container}@`;
    return [...this.names.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  }

  digest(name: string): string {
    const digest = this.names.get(name);
    if (digest === undefined) throw new Error(`nobody knows ${name}`);
    return digest;
  }

  one<T>(items: readonly T[]): T | undefined {
    return items[this.random(items.length)];
  }

  /** Says what it is about to do, does it, and says that it is done. @param work gives what "?" stood for */
  async does(plan: Plan, work: () => Promise<Readonly<Record<string, Meaning>> | undefined>): Promise<void> {
    say({ at: "begin", ...plan });
    this.onBegin?.(plan.verb);
    const began = performance.now();
    const told = (await work()) ?? {};
    say({ at: "done", names: told, ms: performance.now() - began, steps: this.steps() });
    for (const [name, meaning] of Object.entries({ ...plan.names, ...told })) {
      if (meaning === null) this.names.delete(name);
      else this.names.set(name, meaning);
    }
  }

  /** A file of the host with bytes that nothing had before. */
  freshFile(path: string, bytes: number): void {
    writeFileSync(path, randomBytes(bytes));
  }
}

/**
 * All names, snapshots among them, with the trees that they stand for, containers as they are found when they are settled; and
 * `=SETTING` with its value.
 */
export async function namesIn(context: Context): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for (const { name, digest, snapshots } of await list(context)) {
    if (digest !== null) names.set(name, digest);
    for (const snapshot of snapshots) {
      const ref = `${name}@${snapshot}`;
      names.set(ref, (await show(context, { ref })).digest);
    }
  }
  for (const { key, value } of await configure(context, { key: "exports.grace" }))
    if (value !== null) names.set(`=${key}`, value);
  return names;
}

/** At once: what is not written when the end comes was not acknowledged. */
function say(line: Line): void {
  let bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      // Who listens is busy.
      if (errnoOf(error) !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
