import assert from "node:assert/strict";
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { failureOf } from "../../src/cli/failure.ts";
import type { Failure } from "../../src/cli/failure.ts";
import { errnoOf } from "../../src/errors.ts";
import { configure, gc, remove, Store } from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { parseDigest } from "../../src/model/digest.ts";
import { syncFilesystem } from "../../src/sys/durable.ts";
import { allocate } from "../../src/sys/file.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import { loopFilesystem } from "../support/loop.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { check } from "./cut-check.ts";
import { NAME_COMMANDS } from "./cut-commands.ts";

import { FILE_COMMANDS } from "./cut-file-commands.ts";
import { Hand, namesIn, Places } from "./cut-hand.ts";
import { Known } from "./cut-model.ts";
import type { Plan } from "./cut-model.ts";
import { MUCH_COMMANDS } from "./full-disk-much.ts";

const COMMANDS: typeof NAME_COMMANDS = { ...NAME_COMMANDS, ...FILE_COMMANDS, ...MUCH_COMMANDS };
export const FULL_DISK_VERBS: readonly string[] = Object.keys(COMMANDS);

/** They free room, so they work where there is none. */
const FREEING: ReadonlySet<string> = new Set(["gc", "rm --now", "rm", "rm of a layer", "unexport"]);

export interface Levels {
  readonly filesystem: "ext4" | "xfs" | "btrfs";
  readonly megabytes: number;
  readonly verbs: readonly string[];
  /** MB that are free when a command begins, in order: each command is done at each until it succeeds. */
  readonly levels: readonly number[];
  /** Told of each command once it has succeeded, or the levels are over. */
  readonly onVerb?: (verb: string, outcome: Outcome) => void;
}

export interface Outcome {
  /** Where it first did; undefined if it did at none. */
  readonly succeededAt: number | undefined;
  readonly failures: readonly Failure[];
}

/**
 * Does each command on a filesystem with so much room, and looks after each whether it has either been done, or failed for want of room
 * and changed nothing: on the disk as full as it is, and then with room again.
 *
 * @throws {Error} at the first that did not
 */
export async function fillMany({ filesystem: kind, megabytes, verbs, levels, onVerb }: Levels): Promise<void> {
  await using filesystem = await loopFilesystem(kind, megabytes);
  await using elsewhere = await temporaryDirectory();
  const site = new FullSite(filesystem.path, elsewhere.path);
  for (const verb of verbs) {
    const failures: Failure[] = [];
    let succeededAt: number | undefined;
    for (const level of levels) {
      const failure = await site.attempt(verb, level);
      if (failure === undefined) {
        succeededAt = level;
        break;
      }
      assert.ok(!FREEING.has(verb), `${verb} with ${level} MB: ${failure.message}`);
      failures.push(failure);
    }
    onVerb?.(verb, { succeededAt, failures });
  }
}

class FullSite {
  readonly #mountPoint: string;
  readonly #places: Places;
  readonly #known = new Known();
  #seed = 0;

  constructor(mountPoint: string, elsewhere: string) {
    this.#mountPoint = mountPoint;
    this.#places = new Places(`${mountPoint}/site`, elsewhere);
    for (const name of ["lxc", "foreign", "scratch"]) mkdirSync(`${mountPoint}/site/${name}`, { recursive: true });
    const { source } = this.#places;
    for (let i = 0; i < 12; i++) {
      mkdirSync(`${source}/d${i}`, { recursive: true });
      for (let j = 0; j < 8; j++) writeFileSync(`${source}/d${i}/f${j}`, Buffer.alloc(500 * (j + 1), `${i}.${j} `));
      symlinkSync("f1", `${source}/d${i}/link`);
    }
    writeFileSync(`${source}/f0`, "file");
  }

  /** @returns what the command failed with for want of room */
  async attempt(verb: string, level: number): Promise<Failure | undefined> {
    const command = COMMANDS[verb];
    assert.ok(command !== undefined, `no command ${verb}`);
    const plans: Plan[] = [];
    let error: unknown;
    {
      await using store = await Store.open(this.#places.store, { create: true, command: "full" });
      const hand = await Hand.of(store, this.#places, ++this.#seed);
      await this.#tidy(hand, verb in MUCH_COMMANDS ? 0 : 4);
      hand.does = async (plan, work) => {
        plans.push(plan);
        if (plan.verb === verb) this.#fill(level);
        const told = (await work()) ?? {};
        // What stands behind it is not what is tried.
        this.#empty();
        this.#known.note([
          { at: "begin", ...plan },
          { at: "done", names: told, ms: 0, steps: 0 },
        ]);
        plans.pop();
        for (const [name, meaning] of Object.entries({ ...plan.names, ...told }))
          if (meaning === null) hand.names.delete(name);
          else hand.names.set(name, meaning);
      };
      try {
        await command(hand);
      } catch (caught) {
        error = caught;
        await this.#read(hand.context);
      }
    }
    const failure = error === undefined ? undefined : this.#failureOf(verb, level, error);
    if (failure !== undefined) {
      await using store = await Store.open(this.#places.store, { command: "full" });
      await this.#read({ store, command: "full" });
      await this.#write({ store, command: "full" });
    }
    this.#empty();
    if (failure !== undefined && verb in MUCH_COMMANDS) await this.#collect();
    const cut = plans.at(-1);
    try {
      await check(this.#places, this.#known, { plans, cut, isPowerCut: false, isCollecting: this.#seed % 16 === 0 });
    } catch (cause) {
      throw new Error(`after ${verb} with ${level} MB: ${failure?.message ?? "done"}`, { cause });
    }
    return failure;
  }

  /** What has been made by others goes, now and then: the filesystem is small. */
  async #tidy(hand: Hand, most: number): Promise<void> {
    const names = ["c", "p", "l"].flatMap((kind) => {
      const named = hand.named(kind as "c" | "p" | "l");
      return named.length > most ? named.slice(0, named.length - (most >> 1)) : [];
    });
    if (names.length === 0) return;
    await remove(hand.context, { names });
    await gc(hand.context, { grace: "0" });
    this.#known.names.clear();
    hand.names.clear();
    for (const [name, digest] of await namesIn(hand.context)) {
      hand.names.set(name, digest);
      this.#known.names.set(name, digest);
    }
  }

  #failureOf(verb: string, level: number, error: unknown): Failure {
    const failure = failureOf(error);
    if (failure.exit !== 28)
      throw new Error(`${verb} with ${level} MB: exit ${failure.exit}, ${failure.message}`, { cause: error });
    assert.ok(failure.hint !== undefined, failure.message);
    return failure;
  }

  /** What a command has left that did not come to its end goes, and its room comes back. */
  async #collect(): Promise<void> {
    await using store = await Store.open(this.#places.store, { command: "full" });
    await gc({ store, command: "full" }, { grace: "0" });
  }

  /** Whatever is on the disk can be read. */
  async #read({ store }: Context): Promise<void> {
    for (const [name, ref] of await store.refs.list((name, error) => assert.fail(`${name}: ${error.message}`))) {
      const digest = parseDigest(store.refs.treeOf(ref)) ?? assert.fail(name);
      for (const { after } of diffTrees(store.trees, undefined, store.trees.tree(digest))) {
        if (after?.type !== "file") continue;
        let size = 0;
        for (const piece of store.content.pieces(after.content))
          size += typeof piece === "number" ? piece : piece.length;
        assert.equal(size, after.content.size);
      }
    }
  }

  /** A small change has been made or not. */
  async #write(context: Context): Promise<void> {
    const value = `${1 + this.#seed}h`;
    try {
      await configure(context, { key: "exports.grace", value });
      this.#known.names.set("=exports.grace", value);
    } catch (error) {
      this.#failureOf("config", 0, error);
    }
  }

  #fill(level: number): void {
    const { bavail, bsize } = statfsSync(this.#mountPoint);
    const fd = openSync(`${this.#mountPoint}/ballast`, "w");
    for (let bytes = bavail * bsize - level * 1_000_000; bytes > 0; bytes -= SLACK_BYTES)
      try {
        allocate(fd, bytes);
        break;
      } catch (error) {
        // xfs and btrfs keep some of it for themselves.
        assert.equal(errnoOf(error), "ENOSPC");
      }
    closeSync(fd);
    if (level > 0) return;
    for (const size of [1 << 20, 4096, 1])
      try {
        for (;;) appendFileSync(`${this.#mountPoint}/ballast`, Buffer.alloc(size, 1));
      } catch (error) {
        assert.equal(errnoOf(error), "ENOSPC");
      }
  }

  #empty(): void {
    rmSync(`${this.#mountPoint}/ballast`, { force: true });
    // btrfs gives room back with its next transaction.
    syncFilesystem(this.#mountPoint);
  }
}

const SLACK_BYTES = 256 * 1024;
