// Writes rounds of chunks and a record that names them, until it cuts its filesystem's power and dies.
import { randomFillSync } from "node:crypto";
import { openSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { Kv } from "../../src/kv/kv.ts";
import type { Operation } from "../../src/kv/kv.ts";

const [mountPoint = "", how = "", milliseconds = ""] = process.argv.slice(2);

// Linux, include/uapi/linux/fs.h and fs/ext4/ext4.h: drops what the journal has not written.
const FS_IOC_SHUTDOWN = 0x8004587d;
const NOLOGFLUSH = 2;
const ioctl = koffi.load("libc.so.6").func("int ioctl(int, unsigned long, uint32_t *)") as (
  descriptor: number,
  request: number,
  flags: number[],
) => number;

function cutPower(): void {
  if (ioctl(root, FS_IOC_SHUTDOWN, [NOLOGFLUSH]) !== 0) throw new Error("FS_IOC_SHUTDOWN failed");
  process.kill(process.pid, "SIGKILL");
}

const WRITE_BUFFER_BYTES = 1 << 20;
const CHUNK_BYTES = 64 * 1024;
const CHUNKS = Math.ceil((1.3 * WRITE_BUFFER_BYTES) / CHUNK_BYTES);

const root = openSync(mountPoint, "r");
const kv = await Kv.open(join(mountPoint, "db"), { create: true, writeBufferBytes: WRITE_BUFFER_BYTES });
const deadline = performance.now() + Number(milliseconds);
for (let round = 0; ; round++) {
  for (let i = 0; i < CHUNKS; i++) {
    const chunk: Operation = {
      type: "put",
      key: Buffer.from(`c${round}-${i}`),
      value: randomFillSync(Buffer.alloc(CHUNK_BYTES)),
    };
    await kv.write([chunk]);
  }
  if (how === "barrier") await kv.barrier();
  const record: Operation = { type: "put", key: Buffer.from(`r${round}`), value: Buffer.from(`${CHUNKS}`) };
  await kv.write([record], { sync: true });
  // Right after a record that was acknowledged: the worst moment for what it names.
  if (performance.now() > deadline) cutPower();
}
