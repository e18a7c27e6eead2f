import { deserialize, serialize } from "node:v8";
import type { Socket } from "node:net";
import type { Progress } from "../operations/context.ts";
import { StoreError } from "../errors.ts";
import { errorFromData, errorToData } from "../sys/error-data.ts";
import type { ErrorData } from "../sys/error-data.ts";

/** What a guest asks of the process that has the store open; one per connection. Both are of one version: `place` says so. */
export interface Request {
  readonly place: string;
  readonly operation: string;
  readonly params: unknown;
  readonly command: string;
  /** By which the history knows what it changed. */
  readonly request: string;
  /** It was asked for before, of a process that is gone. */
  readonly isRepeated: boolean;
  /** Not to be begun later, ms since 1970: whoever asked has given up then. */
  readonly beginBefore: number;
  readonly hasInput: boolean;
  readonly hasOutput: boolean;
}

export type FromGuest =
  | ({ readonly type: "request" } & Request)
  | { readonly type: "abort" }
  /** What it reads, as it was asked to; empty at the end. */
  | { readonly type: "input"; readonly bytes: Uint8Array }
  /** It has taken the output. */
  | { readonly type: "taken" };

export type FromHost =
  /** It has its turn. */
  | { readonly type: "begun" }
  /** Now and then, that the host is there. */
  | { readonly type: "alive" }
  | { readonly type: "progress"; readonly progress: Progress }
  | { readonly type: "warning"; readonly warning: string }
  | { readonly type: "read" }
  | { readonly type: "output"; readonly bytes: Uint8Array }
  | { readonly type: "result"; readonly result: unknown }
  | { readonly type: "failure"; readonly failure: ErrorData }
  | { readonly type: "aborted" }
  /** What was asked for before had been done. */
  | { readonly type: "done" }
  /** Nothing of it was done: the host ends, and another must do it. */
  | { readonly type: "moved" }
  /** The host is in another place: another container, user or version. */
  | { readonly type: "elsewhere" };

/** Messages over a stream socket: 4 bytes of length, big-endian, and V8's serialisation. */
export class Wire<In, Out> {
  readonly #socket: Socket;
  readonly #waiting: ((message: In | undefined) => void)[] = [];
  readonly #messages: In[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #isClosed = false;
  #onClose: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => {
      try {
        this.#take(bytes);
      } catch {
        // Somebody who is no delta0: it must not end what this process does.
        socket.destroy();
      }
    });
    socket.on("close", () => this.#close());
    // What follows is "close".
    socket.on("error", () => undefined);
  }

  set onClose(listener: () => void) {
    this.#onClose = listener;
    if (this.#isClosed) listener();
  }

  send(message: Out): void {
    if (this.#isClosed) return;
    const body = serialize(withErrorData(message));
    const head = Buffer.alloc(4);
    head.writeUInt32BE(body.length);
    this.#socket.write(Buffer.concat([head, body]));
  }

  /** @returns undefined when the other end is gone */
  async receive(): Promise<In | undefined> {
    const message = this.#messages.shift();
    if (message !== undefined || this.#isClosed) return message;
    return await new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Ends the connection once all is sent. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    while (this.#bytes.length >= 4) {
      const end = 4 + this.#bytes.readUInt32BE(0);
      if (this.#bytes.length < end) return;
      const message = fromErrorData(deserialize(this.#bytes.subarray(4, end))) as In;
      this.#bytes = this.#bytes.subarray(end);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#messages.push(message);
      else waiting(message);
    }
  }

  #close(): void {
    this.#isClosed = true;
    for (const waiting of this.#waiting.splice(0)) waiting(undefined);
    this.#onClose();
  }
}

const ERROR_KEY = "delta0 error";

/** Results may hold errors of ours, as what became of one of many. */
function withErrorData(value: unknown): unknown {
  return mapObjects(value, (object) =>
    object instanceof StoreError ? { [ERROR_KEY]: errorToData(object) } : undefined,
  );
}

function fromErrorData(value: unknown): unknown {
  return mapObjects(value, (object) =>
    ERROR_KEY in object ? errorFromData((object as { [ERROR_KEY]: ErrorData })[ERROR_KEY]) : undefined,
  );
}

/** A copy where `replace` has something for an object or array inside; else the same. */
function mapObjects(value: unknown, replace: (object: object) => unknown): unknown {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  const replaced = replace(value);
  if (replaced !== undefined) return replaced;
  if (Array.isArray(value)) {
    const items = value.map((item) => mapObjects(item, replace));
    return items.some((item, i) => item !== value[i]) ? items : value;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const entries = Object.entries(value);
  const mapped = entries.map(([key, item]) => [key, mapObjects(item, replace)] as const);
  return mapped.some(([, item], i) => item !== entries[i]?.[1]) ? Object.fromEntries(mapped) : value;
}
