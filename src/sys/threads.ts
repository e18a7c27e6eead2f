import { availableParallelism } from "node:os";
import { parentPort, Worker, workerData } from "node:worker_threads";
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

interface Pending<Result> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Threads that do jobs by a module that calls `serveJobs`. One begins when there is more to do than those that run take, and lasts as
 * long as the process, which waits for it only while it begins. Until one serves, which takes it 20 to 50 ms, and where none can begin,
 * for want of fds or memory, this one does the jobs.
 */
export class Threads<Job, Result> implements Disposable {
  readonly #module: string;
  readonly #work: (job: Job) => Result;
  #most: number;
  #threads: Thread<Job, Result>[] = [];
  /** Jobs that were done here since a thread was last begun. */
  #doneHere = 0;

  /**
   * @param module in src/, as "sys/compress-thread"
   * @param work what it serves
   */
  constructor(module: string, work: (job: Job) => Result, most: number = THREADS) {
    this.#module = module;
    this.#work = work;
    this.#most = most;
  }

  /** True once one serves. */
  get areRunning(): boolean {
    return this.#threads.some(({ serves }) => serves);
  }

  /**
   * Has a thread do a job, which is copied to it but for the memory it shares. Jobs of one thread are done in order.
   *
   * @throws what the job fails with: StoreError and PosixError are such again
   */
  run(job: Job): Promise<Result> {
    const idlest = this.#idlest();
    const isBusy = idlest === undefined ? this.#doneHere >= BUSY_JOBS : idlest.load >= BUSY_JOBS;
    if (this.#threads.length === 0 || isBusy) this.#begin();
    return idlest?.run(job) ?? this.#doHere(job);
  }

  #idlest(): Thread<Job, Result> | undefined {
    return this.#threads.reduce<Thread<Job, Result> | undefined>(
      (least, one) => (!one.serves || (least !== undefined && least.load <= one.load) ? least : one),
      undefined,
    );
  }

  /** Begins all, for jobs that are to come: while they begin, this thread does other things. */
  begin(): void {
    while (this.#begin());
  }

  /** @returns false if there are as many as there can be */
  #begin(): boolean {
    if (this.#threads.length >= this.#most) return false;
    this.#doneHere = 0;
    try {
      const thread = new Thread<Job, Result>(this.#module, () => {
        this.#threads = this.#threads.filter((one) => one !== thread);
        if (!thread.serves) this.#most = this.#threads.length;
      });
      this.#threads.push(thread);
      return true;
    } catch {
      this.#most = this.#threads.length;
      return false;
    }
  }

  /** As a thread does it: what it throws is a rejection. */
  async #doHere(job: Job): Promise<Result> {
    this.#doneHere++;
    return await Promise.resolve(this.#work(job));
  }

  /** Ends them, whatever they do. */
  [Symbol.dispose](): void {
    for (const thread of this.#threads.splice(0)) thread.end();
  }
}

class Thread<Job, Result> {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending<Result>>();
  /** Its one number is set by `serveJobs`: an event would be seen only once this thread has nothing to do. */
  readonly #serving = new Int32Array(new SharedArrayBuffer(4));
  #number = 0;

  constructor(module: string, onGone: () => void) {
    this.#worker = workerOf(module, this.#serving);
    // A process that ends while a thread begins may wait for it forever.
    this.#worker.on("message", (answer: Answer<Result> | typeof SERVES) => {
      if (answer !== SERVES) this.#settle(answer);
      else if (this.#pending.size === 0) this.#worker.unref();
    });
    this.#worker.on("error", (error) => this.#lose(error));
    this.#worker.on("exit", () => {
      onGone();
      this.#lose(new Error(`a thread of ${module} ended`));
    });
  }

  get serves(): boolean {
    return Atomics.load(this.#serving, 0) === 1;
  }

  get load(): number {
    return this.#pending.size;
  }

  run(job: Job): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#pending.size === 0) this.#worker.ref();
      const number = this.#number++;
      this.#pending.set(number, { resolve, reject });
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
/** The first message of a thread. */
const SERVES = "serves";

/** Does in this thread what `Threads.run` asks for, if it is none of a process's own. Called once by the module of the thread. */
export function serveJobs<Job, Result>(work: (job: Job) => Result): void {
  if (parentPort === null) return;
  const port = parentPort;
  port.on("message", ({ number, job }: Message<Job>) => {
    let answer: Answer<Result>;
    try {
      answer = { number, result: work(job) };
    } catch (error) {
      answer = { number, failure: errorToData(error) };
    }
    port.postMessage(answer);
  });
  Atomics.store(workerData as Int32Array, 0, 1);
  port.postMessage(SERVES);
}

/**
 * Found from a folder of src/, of dist/, and from the bundle of the command, dist/cli/.
 *
 * In the sources themselves a thread needs tsx's loader, which Node 20 gives to the main thread alone.
 */
function workerOf(module: string, serving: Int32Array): Worker {
  const isSource = import.meta.url.endsWith(".ts");
  const url = new URL(`../${module}${isSource ? ".ts" : ".js"}`, import.meta.url);
  if (!isSource) return new Worker(url, { workerData: serving });
  const tsx = import.meta.resolve("tsx/esm/api");
  const load = `import(${JSON.stringify(tsx)}).then(({ register }) => (register(), import(${JSON.stringify(url.href)})))`;
  return new Worker(load, { eval: true, workerData: serving });
}
