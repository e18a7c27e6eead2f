import { setTimeout as sleep } from "node:timers/promises";
import { asStoreError, StoreError } from "../errors.ts";
import type { OpenOptions } from "../store-parts.ts";
import { findStore, lockedStore } from "../store-directory.ts";
import { StorePaths } from "../store-paths.ts";
import { tryLock } from "../sys/lock.ts";
import { randomBytes } from "../sys/random.ts";
import type { Host } from "./host.ts";
import { visit } from "./guest.ts";
import { apiOf, loadOperation, stepsOf } from "./operations.ts";
import type { Api, Caller, OperationName, Steps } from "./operations.ts";
import { place } from "./place.ts";
import { ResumedOutput } from "./resumed-output.ts";

export interface SessionOptions extends OpenOptions {
  /** The store is to be open in this process, and what others ask for waits. Default: another may have it open. */
  readonly alone?: boolean;
  /** Called each time an operation begins, here or where the store is open. */
  readonly onBegin?: () => void;
}

/**
 * Operations in a store that other processes use, too. One of them has it open at a time, and does the operations of all; when it
 * ends, or is killed, another does. docs/reliability.md, "One owner, many users".
 */
export class Session implements AsyncDisposable {
  /**
   * Each throws, beside what the operation throws, {StoreError} what `Store.open` throws; STORE_LOCKED if it was not begun after the wait;
   * RESULT_LOST if it was done by a process that was killed before it could say what came of it.
   */
  readonly api: Api;
  readonly #directory: string;
  readonly #options: SessionOptions;
  #opening: Promise<Host | undefined> | undefined;

  /** Opens nothing yet. */
  constructor(directory: string, options: SessionOptions = {}) {
    this.#directory = directory;
    this.#options = options;
    this.api = apiOf((name, caller, params) => this.#call(name, caller, params));
  }

  /** The operations as steps of what has containers or programs run in between. */
  steps(caller: Caller): Steps {
    return stepsOf((name, params) => this.#call(name, caller, params));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#opening?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }

  async #call(operation: OperationName, given: Caller, params: unknown): Promise<unknown> {
    const { waitSeconds = 30, onBegin } = this.#options;
    const waitMs = waitSeconds * 1000;
    const output = given.output && new ResumedOutput(given.output);
    const request = randomBytes(12).toString("base64url");
    const caller: Caller = {
      ...given,
      request,
      ...(output && { output: output.write }),
    };
    const { create = false } = this.#options;
    const paths = this.#tryTo(() => new StorePaths(findStore(this.#directory, create, this.#isDamaged)));
    let alone = this.#options.alone === true || this.#isDamaged;
    let isRepeated = false;
    let giveUp = Date.now() + waitMs;
    let visitFrom = 0;
    for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      caller.signal?.throwIfAborted();
      output?.restart();
      const host = await this.#open(paths, operation);
      if (host !== undefined) {
        onBegin?.();
        if (isRepeated && (await host.hasDone(request))) throw resultLost(caller);
        return await host.call(operation, caller, params);
      }
      if (!alone && Date.now() >= visitFrom) {
        const { command, input } = caller;
        const streams = { hasInput: input !== undefined, hasOutput: output !== undefined };
        // Whoever is there is asked, even if nobody is to be waited for.
        const beginBefore = Math.max(giveUp, Date.now() + SHORT_MS);
        const asked = { place: place(), operation, params, command, request, isRepeated, beginBefore, ...streams };
        const visited = await visit(paths, asked, caller, { patienceMs: Math.max(waitMs, SHORT_MS), onBegin });
        switch (visited.type) {
          case "result":
            return visited.result;
          case "done":
            throw resultLost(caller);
          case "unanswered":
            throw lockedStore(paths, waitSeconds);
          case "elsewhere":
            alone = true;
            break;
          case "moved":
            isRepeated ||= visited.hasBegun;
            // What takes long is to be done here, if it can be: it would be moved again and again.
            if (visited.hasBegun) visitFrom = Date.now() + HOSTING_MS;
            giveUp = Date.now() + waitMs;
            pauseMs = 2;
            break;
          case "lost":
            isRepeated ||= visited.hasBegun;
            if (visited.hasRead) throw interrupted(caller);
            giveUp = Date.now() + waitMs;
            pauseMs = 2;
            break;
          case "nobody":
        }
      }
      if (Date.now() >= giveUp) throw lockedStore(paths, waitSeconds);
      await sleep(pauseMs);
    }
  }

  #tryTo<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw asStoreError(error, `opening the store ${this.#directory}`);
    }
  }

  get #isDamaged(): boolean {
    return this.#options.damaged !== undefined;
  }

  /** @returns undefined if another process has it open */
  async #open(paths: StorePaths, operation: OperationName): Promise<Host | undefined> {
    this.#opening ??= this.#tryOpen(paths, operation);
    try {
      const host = await this.#opening;
      if (host === undefined) this.#opening = undefined;
      return host;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  /** @param operation what is done next */
  async #tryOpen(paths: StorePaths, operation: OperationName): Promise<Host | undefined> {
    const lock = this.#tryTo(() => tryLock(paths.lock));
    if (lock === undefined) return undefined;
    // Loading the native parts takes longer than all else.
    const [{ Store }, { Host }] = await Promise.all([import("../store.ts"), import("./host.ts")]);
    const opening = Store.open(this.#directory, { ...this.#options, lock });
    // While the disk is waited for.
    void loadOperation(operation).catch(() => undefined);
    return new Host(await opening);
  }
}

function resultLost({ command }: Caller): StoreError {
  return new StoreError("RESULT_LOST", { command });
}

function interrupted({ command }: Caller): StoreError {
  return new StoreError("REFUSED", {
    reason: `the process that did "${command}" was killed in between`,
    hint: "see delta0 reflog, and try again",
  });
}

/** How long what was moved tries to have the store open here before it asks another process again. */
const HOSTING_MS = 2000;
const MAX_PAUSE_MS = 25;
const SHORT_MS = 1000;
