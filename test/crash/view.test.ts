import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { clone, create, openContainer, openView, show, status, Store } from "../../src/index.ts";
import { Kv } from "../../src/kv/kv.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { callOf, directorySide, makeSource, readDirectory, readView } from "./view-calls.ts";

/** More of them: DELTA0_KILLS=2000 npm run test:crash */
const KILLS = Number(process.env["DELTA0_KILLS"] ?? 50);
const WORKER = fileURLToPath(new URL("view-worker.ts", import.meta.url));
const MAX_DELAY_MS = 300;

test(`crash: after each of ${KILLS} SIGKILLs a container has all that was acknowledged, and of each other call all or nothing`, async (t) => {
  await using directory = await temporaryDirectory();
  const at = new Site(directory.path);
  await at.begin();
  const seed = Number(process.env["DELTA0_SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  for (let kill = 1; kill <= KILLS; kill++) await at.killOnce(seed, kill);
  t.diagnostic(`${at.calls} calls, ${at.cuts} kills inside calls, ${at.foldCuts} while the container was read`);
});

/** A store with a container, and beside it a directory where the same calls are made. */
class Site {
  readonly #path: string;
  readonly #store: string;
  readonly #mirror: string;
  /** Calls that the mirror has. */
  calls = 0;
  cuts = 0;
  foldCuts = 0;

  constructor(path: string) {
    this.#path = path;
    this.#store = `${path}/store`;
    this.#mirror = `${path}/mirror`;
  }

  async begin(): Promise<void> {
    const source = `${this.#path}/source`;
    mkdirSync(source);
    makeSource(source);
    await run("cp", ["-a", source, this.#mirror]);
    await using store = await Store.open(this.#store, { create: true });
    const context = { store, command: "test" };
    await create(context, { source, name: "web", noLxc: true });
    await clone(context, { ref: "web", names: ["other"], noLxc: true });
    await using other = await openContainer(context, { name: "other" });
    await other.promises.writeFile("/own", "of the other");
  }

  async killOnce(seed: number, kill: number): Promise<void> {
    const lines = await this.#workUntilKilled(seed, kill);
    const after = (word: string): number[] =>
      lines.flatMap((line) => (line.startsWith(`${word} `) ? [Number(line.slice(word.length)) + 1] : []));
    const [begun, done, refused] = [after("begin"), after("done"), after("refused")];
    const first = this.calls;
    const last = Math.max(first, ...begun);
    // What is refused has no record to wait for: its answer may come before that of a call made earlier.
    const least = Math.max(first, ...done);
    if (begun.length > done.length + refused.length) this.cuts++;
    if (lines.lastIndexOf("fold") > lines.lastIndexOf("folded")) this.foldCuts++;
    while (this.calls < least) await this.#mirrorNext(seed);

    await using store = await Store.open(this.#store, { command: "check" });
    const context = { store, command: "check", onWarning: (warning: string) => assert.fail(warning) };
    {
      await using view = await openContainer(context, { name: "web" });
      const found = readView(view);
      let expected = readDirectory(this.#mirror);
      const states = [expected];
      while (this.calls < last && !isEqual(found, expected)) {
        await this.#mirrorNext(seed);
        states.push((expected = readDirectory(this.#mirror)));
      }
      if (!isEqual(found, expected))
        assert.deepEqual(found, states[0], `kill ${kill} of seed ${seed}: ${first} … ${least} … ${last}`);
      // Numbers that were begun and did not happen are made by the next worker.
      if (kill % 2 === 0) await status(context, { name: "web" });
    }
    const other = await openView(context, { ref: "other" });
    assert.equal(other.readFileSync("/own", "utf8"), "of the other");
    if (kill % 2 === 0) await this.#checkFolded(store, kill);
  }

  async #checkFolded(store: Store, kill: number): Promise<void> {
    const context = { store, command: "check" };
    const { digest } = await show(context, { ref: "web" });
    const frozen = await openView(context, { ref: digest });
    assert.deepEqual(readView(frozen), readDirectory(this.#mirror), `kill ${kill}: the fold`);
    await status(context, { name: "other" });
    await store[Symbol.asyncDispose]();
    await using kv = await Kv.open(store.paths.uppers, { create: false });
    const left: string[] = [];
    for await (const key of kv.keys({})) left.push(Buffer.from(key).toString("latin1"));
    assert.deepEqual(left, [], `kill ${kill}: records that mean nothing`);
    const pieces = `${store.paths.uppers}.pieces`;
    assert.deepEqual(existsSync(pieces) ? readdirSync(pieces) : [], [], `kill ${kill}: bytes that mean nothing`);
  }

  async #mirrorNext(seed: number): Promise<void> {
    await callOf(seed, this.calls++)
      .make(directorySide(this.#mirror))
      .catch(() => undefined);
  }

  async #workUntilKilled(seed: number, kill: number): Promise<string[]> {
    const args = ["--import", "tsx", WORKER, this.#store, String(seed), String(this.calls)];
    const worker = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    const isDue = kill % 3 === 0 ? "fold\n" : "ready\n";
    const due = new Promise<void>((resolve) => {
      worker.stdout.on("data", (bytes: Buffer) => {
        text += bytes.toString();
        if (text.includes(isDue)) resolve();
      });
    });
    await Promise.race([due, once(worker, "close"), sleep(10_000)]);
    // Mostly soon: a call takes a fraction of a millisecond, a fold some of them.
    await sleep(Math.random() ** 3 * MAX_DELAY_MS);
    assert.equal(worker.exitCode, null, `the worker failed; it said ${text}`);
    worker.kill("SIGKILL");
    await once(worker, "close");
    return text.split("\n").slice(0, -1);
  }
}

function isEqual(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((line, i) => line === b[i]);
}
