import { availableParallelism } from "node:os";
import { parentPort, Worker } from "node:worker_threads";
import { errorFromData, errorToData } from "./error-data.ts";
import type { ErrorData } from "./error-data.ts";

/** As many as keep this machine busy. */
export const THREADS: number = Math.min(availableParallelism(), 4);

interface Message<Job> {
  readonly number: number;
  readonly job: Job;
}

interface Answer<Result> {
  readonly number: number;
  readonly result?: Result;
  readonly failure?: ErrorData;
}

interface Pending<Job, Result> {
  readonly job: Job;
  readonly resolve: (result: Result | Promise<Result>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Threads that do jobs by a module that calls `serveJobs`. A thread begins when there is more to do than those that run take, and
 * lasts as long as the process, which does not wait for it. Where none can begin, for want of fds or memory, this one does the jobs.
 */
export class Threads<Job, Result> implements Disposable {
  readonly #module: string;
  readonly #work: (job: Job) => Result;
  #most: number;
  #threads: Thread<Job, Result>[] = [];

  /**
   * @param module in src/, as "sys/compress-thread"
   * @param work what it serves
   */
  constructor(module: string, work: (job: Job) => Result, most: number = THREADS) {
    this.#module = module;
    this.#work = work;
    this.#most = most;
  }

  /** True once it costs nothing to begin one. */
  get areRunning(): boolean {
    return this.#threads.length > 0;
  }

  /**
   * Has a thread do a job, which is copied to it but for the memory it shares. Jobs of one thread are done in order.
   *
   * @throws what the job fails with: StoreError and PosixError are such again
   */
  run(job: Job): Promise<Result> {
    let thread = this.#threads.reduce<Thread<Job, Result> | undefined>(
      (least, one) => (least !== undefined && least.load <= one.load ? least : one),
      undefined,
    );
    if (thread === undefined || thread.load >= BUSY_JOBS) thread = this.#begin() ?? thread;
    return thread === undefined ? this.#doHere(job) : thread.run(job);
  }

  /** Begins all, for jobs that are to come: while they begin, this thread does other things. */
  begin(): void {
    while (this.#begin() !== undefined);
  }

  #begin(): Thread<Job, Result> | undefined {
    if (this.#threads.length >= this.#most) return undefined;
    try {
      const thread = new Thread<Job, Result>(this.#module, (left) => {
        this.#threads = this.#threads.filter((one) => one !== thread);
        if (left.length > 0) this.#most = this.#threads.length;
        for (const { job, resolve } of left) resolve(this.#doHere(job));
      });
      this.#threads.push(thread);
      return thread;
    } catch {
      this.#most = this.#threads.length;
      return undefined;
    }
  }

  /** As a thread does it: what it throws is a rejection. */
  async #doHere(job: Job): Promise<Result> {
    return await Promise.resolve(this.#work(job));
  }

  /** Ends them, whatever they do. */
  [Symbol.dispose](): void {
    for (const thread of this.#threads.splice(0)) thread.end();
  }
}

class Thread<Job, Result> {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending<Job, Result>>();
  #number = 0;
  #hasBegun = false;

  /** @param onGone gets the jobs of one that never began */
  constructor(module: string, onGone: (left: readonly Pending<Job, Result>[]) => void) {
    this.#worker = workerOf(module);
    this.#worker.unref();
    this.#worker.on("message", (answer: Answer<Result>) => this.#settle(answer));
    this.#worker.on("online", () => (this.#hasBegun = true));
    this.#worker.on("error", (error) => {
      if (this.#hasBegun) this.#lose(error);
    });
    this.#worker.on("exit", () => {
      const left = this.#hasBegun ? [] : [...this.#pending.values()];
      if (!this.#hasBegun) this.#pending.clear();
      onGone(left);
      this.#lose(new Error(`a thread of ${module} ended`));
    });
  }

  get load(): number {
    return this.#pending.size;
  }

  run(job: Job): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#pending.size === 0) this.#worker.ref();
      const number = this.#number++;
      this.#pending.set(number, { job, resolve, reject });
      this.#worker.postMessage({ number, job } satisfies Message<Job>);
    });
  }

  end(): void {
    void this.#worker.terminate();
  }

  #settle({ number, result, failure }: Answer<Result>): void {
    const pending = this.#pending.get(number);
    this.#pending.delete(number);
    if (this.#pending.size === 0) this.#worker.unref();
    if (failure === undefined) pending?.resolve(result as Result);
    else pending?.reject(errorFromData(failure));
  }

  #lose(error: unknown): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

/** Jobs of a thread that are enough to begin another. */
const BUSY_JOBS = 2;

/** Does in this thread what `Threads.run` asks for. Called once by the module of the thread. */
export function serveJobs<Job, Result>(work: (job: Job) => Result): void {
  parentPort?.on("message", ({ number, job }: Message<Job>) => {
    let answer: Answer<Result>;
    try {
      answer = { number, result: work(job) };
    } catch (error) {
      answer = { number, failure: errorToData(error) };
    }
    parentPort?.postMessage(answer);
  });
}

/**
 * Found from a folder of src/, of dist/, and from the bundle of the command, dist/cli/.
 *
 * In the sources themselves a thread needs tsx's loader, which Node 20 gives to the main thread alone.
 */
function workerOf(module: string): Worker {
  const isSource = import.meta.url.endsWith(".ts");
  const url = new URL(`../${module}${isSource ? ".ts" : ".js"}`, import.meta.url);
  if (!isSource) return new Worker(url);
  const tsx = import.meta.resolve("tsx/esm/api");
  const load = `import(${JSON.stringify(tsx)}).then(({ register }) => (register(), import(${JSON.stringify(url.href)})))`;
  return new Worker(load, { eval: true });
}
