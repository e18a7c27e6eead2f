import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { check } from "./cut-check.ts";
import { Places } from "./cut-hand.ts";
import { Known } from "./cut-model.ts";
import type { Line, Plan } from "./cut-model.ts";

/** The actor as this is: compiled, or from its source. */
const SOURCE = import.meta.url.endsWith(".ts");
const ACTOR = fileURLToPath(new URL(SOURCE ? "cut-actor.ts" : "cut-actor.js", import.meta.url));
const MAX_WORK_MS = 60_000;

type Actor = ChildProcessByStdio<Writable, Readable, null>;

/** Says when a command's end comes, and makes it. */
export interface Ending {
  /** Arguments for the actor. */
  readonly args: readonly string[];
  /** From when its target has begun. It ends before this returns. */
  readonly end: (actor: Actor, closed: Promise<unknown>) => Promise<unknown>;
  /** Before the store is opened again. */
  readonly after?: () => Promise<void>;
}

/** A store with all around it, in which commands are cut off, and what is known of it. */
export class Site implements Disposable {
  readonly places: Places;
  readonly #elsewhere: string;
  #ready: Actor | undefined;
  readonly #known = new Known();

  /** @param elsewhere a directory for what is imported */
  constructor(path: string, elsewhere: string) {
    this.#elsewhere = elsewhere;
    this.places = new Places(path, elsewhere);
    for (const name of ["lxc", "foreign", "scratch"]) mkdirSync(`${path}/${name}`, { recursive: true });
    const { source } = this.places;
    for (let i = 0; i < 12; i++) {
      mkdirSync(`${source}/d${i}`, { recursive: true });
      for (let j = 0; j < 8; j++) writeFileSync(`${source}/d${i}/f${j}`, randomBytes(500 * (j + 1)));
      symlinkSync("f1", `${source}/d${i}/link`);
    }
    writeFileSync(`${source}/f0`, "file");
  }

  /**
   * Has an actor do commands of a kind until the end comes, and checks what is left.
   *
   * @returns what was cut, and the first of its kind that was not
   */
  async cut(
    verb: string,
    seed: number,
    ending: Ending,
    options: { isPowerCut: boolean; isCollecting: boolean },
  ): Promise<Cut> {
    const { lines, plan } = await this.#work(verb, seed, ending);
    await ending.after?.();
    const plans = lines.flatMap((line) => (line.at === "begin" ? line : []));
    try {
      await check(this.places, this.#known, { plans, cut: plan, ...options });
    } catch (error) {
      const said = lines.slice(-12).map((line) => JSON.stringify(line));
      throw new Error([`after ${verb}, seed ${seed}, in ${this.places.path}:`, ...said].join("\n"), { cause: error });
    }
    const done = lines.find((line, i) => line.at === "done" && verbAt(lines, i - 1) === verb);
    return { cut: plan, done: done?.at === "done" ? done : undefined };
  }

  /** Has the actor of the next `cut` load its modules meanwhile. */
  makeReady(verb: string, seed: number): void {
    this.#ready = this.#start(verb, seed, []);
  }

  #start(verb: string, seed: number, args: readonly string[]): Actor {
    const all = [ACTOR, this.places.path, this.#elsewhere, String(seed), verb, ...args];
    return spawn(process.execPath, [...(SOURCE ? ["--import", "tsx"] : []), ...all], {
      stdio: ["pipe", "pipe", "inherit"],
    });
  }

  [Symbol.dispose](): void {
    this.#ready?.kill("SIGKILL");
  }

  async #work(verb: string, seed: number, ending: Ending): Promise<{ lines: Line[]; plan: Plan | undefined }> {
    const actor = this.#ready ?? this.#start(verb, seed, ending.args);
    this.#ready = undefined;
    const closed = once(actor, "close");
    let text = "";
    const begun = new Promise<void>((resolve) => {
      actor.stdout.on("data", (bytes: Buffer) => {
        text += bytes.toString();
        if (text.includes(`"begin","verb":${JSON.stringify(verb)}`)) resolve();
      });
    });
    actor.stdin.end("go\n");
    await Promise.race([begun, closed, sleep(MAX_WORK_MS, undefined, { ref: false })]);
    await ending.end(actor, closed);
    await closed;
    assert.equal(actor.signalCode, "SIGKILL", `the actor failed; it said ${text}`);
    const lines = text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line);
    return { lines, plan: this.#known.note(lines) };
  }
}

export interface Cut {
  readonly cut: Plan | undefined;
  readonly done: (Line & { readonly at: "done" }) | undefined;
}

function verbAt(lines: readonly Line[], at: number): string | undefined {
  const line = lines[at];
  return line?.at === "begin" ? line.verb : undefined;
}
