import { closeSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { errnoOf } from "../errors.ts";
import type { StorePaths } from "../store-paths.ts";
import { errorFromData } from "../sys/error-data.ts";
import type { Caller } from "./operations.ts";
import { socketPath } from "./host.ts";
import { Wire } from "./wire.ts";
import type { FromGuest, FromHost, Request } from "./wire.ts";

/** What came of a visit to the process that has the store open. */
export type Visited =
  | { readonly type: "result"; readonly result: unknown }
  /** Nobody there, or nobody who takes guests. */
  | { readonly type: "nobody" }
  | Extract<FromHost, { readonly type: "elsewhere" | "done" }>
  | { readonly type: "moved"; readonly hasBegun: boolean }
  /** It went away in between; `hasRead` what cannot be read again. */
  | { readonly type: "lost"; readonly hasBegun: boolean; readonly hasRead: boolean }
  /** Nothing was heard of it, or it had no time, up to `request.beginBefore`. */
  | { readonly type: "unanswered" };

export interface VisitOptions {
  /** How long the host may say nothing at all once it has begun. */
  readonly patienceMs: number;
  readonly onBegin?: (() => void) | undefined;
}

/**
 * Has an operation done by the process that has the store open.
 *
 * @throws what the operation throws; the caller's signal's reason
 */
export async function visit(
  paths: StorePaths,
  request: Request,
  caller: Caller,
  options: VisitOptions,
): Promise<Visited> {
  const socket = await enter(paths);
  if (socket === undefined) return { type: "nobody" };
  const wire = new Wire<FromHost, FromGuest>(socket);
  const abort = (): void => wire.send({ type: "abort" });
  caller.signal?.addEventListener("abort", abort, { once: true });
  const patience = new Patience(() => wire.destroy());
  try {
    patience.until(request.beginBefore + GRACE_MS);
    wire.send({ type: "request", ...request });
    return await follow(wire, caller, patience, options);
  } finally {
    patience.end();
    caller.signal?.removeEventListener("abort", abort);
    wire.destroy();
  }
}

/** @returns undefined if there is nobody */
async function enter(paths: StorePaths): Promise<Socket | undefined> {
  let place: ReturnType<typeof socketPath>;
  try {
    place = socketPath(paths);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    return await new Promise((resolve, reject) => {
      const socket = connect(place.path);
      socket.once("connect", () => resolve(socket));
      socket.once("error", (error) => {
        // A socket of a process that is gone; one whose queue is full.
        if (["ENOENT", "ECONNREFUSED", "EAGAIN", "ECONNRESET"].includes(errnoOf(error) ?? "")) resolve(undefined);
        else reject(error);
      });
    });
  } finally {
    closeSync(place.directory);
  }
}

async function follow(
  wire: Wire<FromHost, FromGuest>,
  caller: Caller,
  patience: Patience,
  { patienceMs, onBegin }: VisitOptions,
): Promise<Visited> {
  const input = caller.input?.[Symbol.asyncIterator]();
  let hasBegun = false;
  let hasRead = false;
  for (;;) {
    const message = await wire.receive();
    if (message === undefined) return patience.isOver ? { type: "unanswered" } : { type: "lost", hasBegun, hasRead };
    if (hasBegun) patience.until(Date.now() + patienceMs);
    switch (message.type) {
      case "begun":
        hasBegun = true;
        onBegin?.();
        break;
      case "alive":
        break;
      case "progress":
        caller.onProgress?.(message.progress);
        break;
      case "warning":
        caller.onWarning?.(message.warning);
        break;
      case "read": {
        hasRead = true;
        patience.end();
        const read: IteratorResult<Uint8Array, unknown> | undefined = await input?.next();
        wire.send({ type: "input", bytes: read === undefined || read.done === true ? new Uint8Array() : read.value });
        break;
      }
      case "output":
        patience.end();
        await caller.output?.(message.bytes);
        wire.send({ type: "taken" });
        break;
      case "failure":
        throw errorFromData(message.failure);
      case "aborted":
        caller.signal?.throwIfAborted();
        return { type: "lost", hasBegun, hasRead };
      case "moved":
        return { type: "moved", hasBegun };
      case "result":
      case "elsewhere":
      case "done":
        return message;
    }
  }
}

/** A time up to which something is to happen. */
class Patience {
  readonly #onEnd: () => void;
  #timer: NodeJS.Timeout | undefined;
  isOver = false;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  /** @param time ms since 1970 */
  until(time: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.isOver = true;
      this.#onEnd();
    }, time - Date.now());
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** For an answer that is on its way. */
const GRACE_MS = 500;
