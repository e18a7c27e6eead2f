// Writes rounds of chunks and a record that names them, until it cuts its filesystem's power and dies.
import { randomFillSync } from "node:crypto";
import { join } from "node:path";
import { Kv } from "../../src/kv/kv.ts";
import type { Operation } from "../../src/kv/kv.ts";
import { powerSwitch } from "./power-cut.ts";

const [mountPoint = "", how = "", milliseconds = ""] = process.argv.slice(2);

const WRITE_BUFFER_BYTES = 1 << 20;
const CHUNK_BYTES = 64 * 1024;
const CHUNKS = Math.ceil((1.3 * WRITE_BUFFER_BYTES) / CHUNK_BYTES);

const cutPower = powerSwitch(mountPoint);
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
