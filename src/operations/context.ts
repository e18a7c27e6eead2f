import type { Store } from "../store.ts";

/** How far an operation is. */
export interface Progress {
  /** What it is doing, for people: "reading", "writing", "cloning". */
  readonly phase: string;
  readonly entries: number;
  readonly bytes: number;
  /** Of `entries`, where that is known beforehand. */
  readonly totalEntries?: number;
  readonly totalBytes?: number;
  /** Of `bytes`, those that the store did not have. */
  readonly newBytes?: number;
}

/** What an operation works with. Its parameters are beside this, and serialisable. */
export interface Context {
  readonly store: Store;
  /** Kept in the history of names: the verb and its arguments. */
  readonly command: string;
  /** Kept there, too: by which whoever asked for it finds whether it was done. */
  readonly request?: string;
  readonly onProgress?: (progress: Progress) => void;
  /** An aborted operation throws the signal's reason, and leaves nothing half-made visible. */
  readonly signal?: AbortSignal;
  /** What was noticed on the way and is no error. */
  readonly onWarning?: (warning: string) => void;
  /** What `-` as a source stands for. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** What `-` as a target stands for. The bytes are borrowed until the promise resolves. */
  readonly output?: (bytes: Uint8Array) => Promise<void>;
  /** Has other operations of this process go on during a long piece of work that looks at no names. */
  readonly aside?: <T>(work: () => Promise<T>) => Promise<T>;
}

/**
 * An operation as a step. What has containers run in between takes its steps in a context's place: each opens the store for itself,
 * since their hooks need it too.
 */
export type Step<F> = F extends (context: Context, params: infer P) => infer R
  ? (params: P) => Promise<Awaited<R>>
  : never;

/** Does a long piece of work that looks at no names: what they mean may be another thing afterwards. */
export async function aside<T>(context: Context, work: () => Promise<T>): Promise<T> {
  return context.aside === undefined ? await work() : await context.aside(work);
}

export function warn(context: Context, warning: string): void {
  context.onWarning?.(warning);
}
