import { addAbortSignal } from "node:stream";
import { StoreError } from "../errors.ts";
import { stepsOf } from "../service/operations.ts";
import type { Api, Caller, Steps } from "../service/operations.ts";
import { Session } from "../service/session.ts";
import type { Call } from "./command.ts";
import { storeDirectory } from "./options.ts";

export interface SessionOptions {
  /** For verbs that bring in a first thing. */
  readonly create?: boolean;
  readonly directory?: string;
  /** Unless the command line says how long. Default: 30. */
  readonly waitSeconds?: number;
  /** See `OpenOptions`. */
  readonly damaged?: "look" | "mend";
}

/** Opens the store, does `work` in it, and closes it: a reader who takes his time with the result holds nobody up. */
export async function withStore<T>(
  call: Call,
  work: (context: Caller, api: Api) => Promise<T>,
  options: SessionOptions = {},
): Promise<T> {
  const { output, interrupt } = call;
  const { create = false, directory = storeDirectory(call.options), damaged } = options;
  const waitSeconds = call.options.number("wait", 0) ?? options.waitSeconds ?? DEFAULT_WAIT_SECONDS;
  const patience = setTimeout(() => {
    if (!call.options.flag("quiet")) output.note(`delta0: waiting for the store ${directory}`);
  }, PATIENCE_MS);
  const onBegin = (): void => {
    clearTimeout(patience);
    // To the end of the process: a signal that comes when all is done must not make it look as if nothing had been.
    interrupt.guard();
    output.signal = interrupt.signal;
  };
  const progress = output.progress();
  try {
    await using session = new Session(directory, {
      create,
      waitSeconds,
      command: call.text,
      onWarning: output.warn,
      onBegin,
      ...(damaged !== undefined && { damaged }),
    });
    const caller: Caller = {
      command: call.text,
      signal: interrupt.signal,
      onWarning: output.warn,
      output: (bytes) => output.bytes(bytes),
      ...(progress && { onProgress: (state) => progress.update(state) }),
    };
    return await work(caller, session.api);
  } finally {
    progress?.clear();
    clearTimeout(patience);
  }
}

/** The operations as steps, each of which opens the store for itself. */
export function stepsFor(call: Call): Steps {
  return stepsOf((name, params) =>
    withStore(call, async (caller, api) => {
      const operation = api[name] as (caller: Caller, params: unknown) => Promise<unknown>;
      return await operation(caller, params);
    }),
  );
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
