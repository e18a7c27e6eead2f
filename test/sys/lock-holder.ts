import { tryLock } from "../../src/sys/lock.ts";

// Holds the lock of its argument until it is killed.
const taken = tryLock(process.argv[2]!);
console.log(taken === undefined ? "busy" : "locked");
setInterval(() => taken, 1000);
