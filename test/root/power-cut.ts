import { closeSync, openSync } from "node:fs";
import koffi from "koffi";

// Linux, include/uapi/linux/fs.h and fs/ext4/ext4.h: drops what the journal has not written.
const FS_IOC_SHUTDOWN = 0x8004587d;
const NOLOGFLUSH = 2;

/** Cuts a filesystem's power, and ends this process. @returns what does it: all that takes time is done before */
export function powerSwitch(mountPoint: string): () => void {
  const shutDown = shutdownSwitch(mountPoint);
  return () => {
    shutDown();
    process.kill(process.pid, "SIGKILL");
  };
}

/** From when on what this gives is called, nothing that is written to the filesystem arrives there, and it says so. */
export function shutdownSwitch(mountPoint: string): () => void {
  const ioctl = koffi.load("libc.so.6").func("int ioctl(int, unsigned long, uint32_t *)") as (
    descriptor: number,
    request: number,
    flags: number[],
  ) => number;
  const root = openSync(mountPoint, "r");
  return () => {
    const result = ioctl(root, FS_IOC_SHUTDOWN, [NOLOGFLUSH]);
    closeSync(root);
    if (result !== 0) throw new Error("FS_IOC_SHUTDOWN failed");
  };
}
