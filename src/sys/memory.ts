import { totalmem } from "node:os";
import { getHeapStatistics } from "node:v8";

export interface MemoryLimits {
  /** What V8 lets its heap grow to before it ends the process. */
  readonly heapBytes: number;
  /** Of the machine, or of the control group that this process is in. */
  readonly totalBytes: number;
}

export function memoryLimits(): MemoryLimits {
  // It is 0, or beyond all memory, where there is no limit.
  const constrained = process.constrainedMemory() || Infinity;
  return { heapBytes: getHeapStatistics().heap_size_limit, totalBytes: Math.min(totalmem(), constrained) };
}
