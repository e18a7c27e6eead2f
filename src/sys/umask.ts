import { readFileSync } from "node:fs";

/** `process.umask` sets it to ask for it, and not in worker threads. proc(5), "Umask". */
export function processUmask(): number {
  const digits = /^Umask:\t([0-7]+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
  return digits === undefined ? USUAL_UMASK : Number.parseInt(digits, 8);
}

const USUAL_UMASK = 0o022;
