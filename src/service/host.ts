import { closeSync, openSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { errnoOf } from "../errors.ts";
import type { Context, Progress } from "../operations/context.ts";
import type { Store } from "../store.ts";
import type { StorePaths } from "../store-paths.ts";
import { errorToData } from "../sys/error-data.ts";
import type { Caller } from "./operations.ts";
import { loadOperation } from "./operations.ts";
import { place } from "./place.ts";
import { Turns } from "./turns.ts";
import type { Turn } from "./turns.ts";
import { Wire } from "./wire.ts";
import type { FromGuest, FromHost, Request } from "./wire.ts";

/** Does operations in the store that this process has open: its own, and from a while on those of others. */
export class Host implements AsyncDisposable {
  readonly #store: Store;
  readonly #turns = new Turns();
  readonly #visits = new Set<Visit>();
  readonly #opening: NodeJS.Timeout;
  #door: Door | undefined;
  #isClosing = false;

  /** Takes over the store. */
  constructor(store: Store) {
    this.#store = store;
    // Most commands are over by then, and nobody has to ask them.
    this.#opening = setTimeout(() => {
      this.#door = Door.open(store.paths, (socket) => void this.#receive(socket));
    }, OPENING_MS);
  }

  async call(name: string, caller: Caller, params: unknown): Promise<unknown> {
    const turn = await this.#turns.take();
    try {
      caller.signal?.throwIfAborted();
      return await this.#run(turn, name, caller, params);
    } finally {
      turn.end();
    }
  }

  /** True if what was asked for is in the history of names. */
  async hasDone(request: string): Promise<boolean> {
    return await this.#store.refs.hasRequest(request);
  }

  /** What guests have begun ends first, unless they can go elsewhere with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#opening);
    this.#door?.close();
    for (const visit of this.#visits) visit.move();
    await Promise.all([...this.#visits].map(({ ended }) => ended));
    await this.#store[Symbol.asyncDispose]();
  }

  async #run(turn: Turn, name: string, caller: Caller, params: unknown): Promise<unknown> {
    const operation = await loadOperation(name);
    const output = caller.output;
    const context: Context = {
      ...caller,
      store: this.#store,
      aside: turn.aside,
      // A reader takes his time.
      ...(output && { output: (bytes: Uint8Array) => turn.aside(() => output(bytes)) }),
    };
    return await operation(context, params);
  }

  async #receive(socket: Socket): Promise<void> {
    const wire = new Wire<FromGuest, FromHost>(socket);
    const message = await wire.receive();
    if (message?.type !== "request") return wire.destroy();
    if (message.place !== place()) wire.send({ type: "elsewhere" });
    else if (this.#isClosing || Date.now() > message.beginBefore) wire.send({ type: "moved" });
    else await this.#serve(wire, message);
    wire.end();
  }

  async #serve(wire: Wire<FromGuest, FromHost>, request: Request): Promise<void> {
    const visit = new Visit(wire, request);
    this.#visits.add(visit);
    const turn = await this.#turns.take();
    try {
      visit.begin(turn);
      if (request.isRepeated && (await this.hasDone(request.request))) wire.send({ type: "done" });
      else
        wire.send({ type: "result", result: await this.#run(turn, request.operation, visit.caller, request.params) });
    } catch (error) {
      wire.send(visit.answerTo(error));
    } finally {
      turn.end();
      this.#visits.delete(visit);
      visit.end();
    }
  }
}

/** The request of one guest. */
class Visit {
  readonly caller: Caller;
  /** Resolves at the end. */
  readonly ended: Promise<void>;
  readonly #wire: Wire<FromGuest, FromHost>;
  readonly #request: Request;
  readonly #controller = new AbortController();
  readonly #alive: NodeJS.Timeout;
  #resolve: () => void = () => undefined;
  #turn: Turn | undefined;
  #reported = 0;
  /** What it has read cannot be read again. */
  #hasRead = false;
  #answer: ((message: FromGuest | undefined) => void) | undefined;

  constructor(wire: Wire<FromGuest, FromHost>, request: Request) {
    this.#wire = wire;
    this.#request = request;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#alive = setInterval(() => wire.send({ type: "alive" }), ALIVE_MS);
    void this.#listen();
    this.caller = {
      command: request.command,
      request: request.request,
      signal: this.#controller.signal,
      onWarning: (warning) => wire.send({ type: "warning", warning }),
      onProgress: (progress) => this.#report(progress),
      ...(request.hasInput && { input: this.#input() }),
      ...(request.hasOutput && { output: (bytes: Uint8Array) => this.#output(bytes) }),
    };
  }

  /** @throws {Moved} if its turn comes too late */
  begin(turn: Turn): void {
    this.#turn = turn;
    this.#controller.signal.throwIfAborted();
    if (Date.now() > this.#request.beginBefore) throw new Moved();
    this.#wire.send({ type: "begun" });
  }

  /** The host ends: what has not begun, or works by itself, is given up here, to be done from its start elsewhere. */
  move(): void {
    if (this.#turn === undefined || (this.#turn.isAside && !this.#hasRead)) this.#controller.abort(new Moved());
  }

  answerTo(error: unknown): FromHost {
    if (error instanceof Moved) return { type: "moved" };
    if (error === this.#controller.signal.reason) return { type: "aborted" };
    return { type: "failure", failure: errorToData(error) };
  }

  end(): void {
    clearInterval(this.#alive);
    this.#resolve();
  }

  async #listen(): Promise<void> {
    for (;;) {
      const message = await this.#wire.receive();
      if (message === undefined || message.type === "abort") this.#controller.abort(new Aborted());
      this.#answer?.(message);
      this.#answer = undefined;
      if (message === undefined) return;
    }
  }

  #report(progress: Progress): void {
    const now = performance.now();
    if (now - this.#reported < REPORT_MS) return;
    this.#reported = now;
    this.#wire.send({ type: "progress", progress });
  }

  async *#input(): AsyncGenerator<Uint8Array> {
    for (;;) {
      this.#hasRead = true;
      const answer = await this.#ask({ type: "read" });
      if (answer.type !== "input") throw new Error(`"${answer.type}" is no answer to a read`);
      if (answer.bytes.length === 0) return;
      yield answer.bytes;
    }
  }

  async #output(bytes: Uint8Array): Promise<void> {
    await this.#ask({ type: "output", bytes });
  }

  async #ask(question: FromHost): Promise<FromGuest> {
    this.#controller.signal.throwIfAborted();
    const answer = await new Promise<FromGuest | undefined>((resolve) => {
      this.#answer = resolve;
      this.#wire.send(question);
    });
    this.#controller.signal.throwIfAborted();
    if (answer === undefined) throw new Aborted();
    return answer;
  }
}

/** Why an operation of a guest ends before its time. */
class Moved extends Error {}
class Aborted extends Error {}

/** Where guests come in. */
class Door {
  readonly #directory: number;
  readonly #path: string;
  readonly #server: Server;

  private constructor(directory: number, path: string, server: Server) {
    this.#directory = directory;
    this.#path = path;
    this.#server = server;
  }

  static open(paths: StorePaths, receive: (socket: Socket) => void): Door {
    removeSocket(paths.socket);
    const { directory, path } = socketPath(paths);
    const server = createServer(receive);
    // Without it others wait for the store, as they do for a program that has no door.
    server.on("error", () => undefined);
    server.listen(path);
    return new Door(directory, paths.socket, server);
  }

  close(): void {
    // First, so that nobody who comes later finds it.
    removeSocket(this.#path);
    this.#server.close();
    closeSync(this.#directory);
  }
}

/** On a read-only filesystem that of a killed process stays: nobody listens there. */
function removeSocket(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    if (errnoOf(error) !== "EROFS") throw error;
  }
}

/** Addresses of sockets have 107 bytes, paths of stores may have more. */
export function socketPath(paths: StorePaths): { readonly directory: number; readonly path: string } {
  const directory = openSync(paths.private, "r");
  return { directory, path: `/proc/self/fd/${directory}/${paths.socket.slice(paths.private.length + 1)}` };
}

const OPENING_MS = 50;
const ALIVE_MS = 1000;
const REPORT_MS = 100;
