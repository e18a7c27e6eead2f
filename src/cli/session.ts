import { addAbortSignal } from "node:stream";
import { StoreError } from "../errors.ts";
import type { Context } from "../index.ts";
import type { Call } from "./command.ts";
import { storeDirectory } from "./options.ts";

/** The operations, once they are needed: loading the native parts takes longer than all else. */
export type Api = typeof import("../index.ts");

export interface SessionOptions {
  /** For verbs that bring in a first thing. */
  readonly create?: boolean;
  readonly directory?: string;
  /** Unless the command line says how long. Default: 30. */
  readonly waitSeconds?: number;
}

/** Opens the store, does `work` in it, and closes it: a reader who takes his time with the result holds nobody up. */
export async function withStore<T>(
  call: Call,
  work: (context: Context, api: Api) => Promise<T>,
  options: SessionOptions = {},
): Promise<T> {
  const { output, interrupt } = call;
  const api = await import("../index.ts");
  const { create = false, directory = storeDirectory(call.options) } = options;
  const waitSeconds = call.options.number("wait", 0) ?? options.waitSeconds ?? DEFAULT_WAIT_SECONDS;
  const patience = setTimeout(() => {
    if (!call.options.flag("quiet")) output.note(`delta0: waiting for the store ${directory}`);
  }, PATIENCE_MS);
  try {
    await using store = await api.Store.open(directory, {
      create,
      waitSeconds,
      command: call.text,
      onWarning: output.warn,
    });
    clearTimeout(patience);
    // To the end of the process: a signal that comes when all is done must not make it look as if nothing had been.
    interrupt.guard();
    const progress = output.progress();
    output.signal = interrupt.signal;
    try {
      return await work(
        {
          store,
          command: call.text,
          signal: interrupt.signal,
          onWarning: output.warn,
          output: (bytes) => output.bytes(bytes),
          ...(progress && { onProgress: (state) => progress.update(state) }),
        },
        api,
      );
    } finally {
      progress?.clear();
    }
  } finally {
    clearTimeout(patience);
  }
}

const DEFAULT_WAIT_SECONDS = 30;
const PATIENCE_MS = 1000;

/** @throws {StoreError} USAGE at a terminal, where nobody types a tar */
export function standardInput(call: Call): AsyncIterable<Uint8Array> {
  if (process.stdin.isTTY)
    throw new StoreError("USAGE", { reason: "a tar cannot come from a terminal", hint: "pipe one in, or name a file" });
  return addAbortSignal(call.interrupt.signal, process.stdin);
}

/** Makes standard output the place for a tar. @throws {StoreError} USAGE at a terminal */
export function takeOutputForTar(call: Call, ref: string): void {
  call.output.takeStdout();
  if (process.stdout.isTTY)
    throw new StoreError("USAGE", {
      reason: "a tar cannot go to a terminal",
      hint: `delta0 export ${ref} - > ${ref}.tar`,
    });
}
