// Writes batches of 50 pairs until it is killed, and says the number of each once it is written.
import { writeSync } from "node:fs";
import { isStoreError } from "../../src/errors.ts";
import { Kv } from "../../src/kv/kv.ts";

const PAIRS = 50;

try {
  await using kv = await Kv.open(process.argv[2]!, { create: true, writeBufferBytes: 256 * 1024 });
  for (let batch = 1; ; batch++) {
    await kv.write(
      Array.from({ length: PAIRS }, (_, i) => {
        const key = Buffer.alloc(8);
        key.writeUInt32BE(batch, 0);
        key.writeUInt32BE(i, 4);
        return { type: "put", key, value: Buffer.alloc(500, key.subarray(0, 4)) };
      }),
    );
    writeSync(1, `${batch}\n`);
  }
} catch (error) {
  if (!isStoreError(error, "STORE_LOCKED")) throw error;
  writeSync(1, `${error.code}\n`);
}
