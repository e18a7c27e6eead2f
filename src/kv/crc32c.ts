/**
 * CRC-32C as LevelDB stores it: "masked", since it is computed over data that holds such sums.
 * Eight bytes a step: 4 MiB take about 5 ms.
 * Source: leveldb 1.20, util/crc32c.h; Kounavis, Berry: Novel table lookup-based algorithms, 2008.
 */
export function maskedCrc(bytes: Uint8Array): number {
  return masked(crc32c(bytes));
}

/** For sums of what ends nobody knows where: one byte after the other. */
export const CRC_START = -1;

export function crcStep(crc: number, byte: number): number {
  return T0[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
}

/** What `maskedCrc` gives for the bytes so far. */
export function maskedEnd(crc: number): number {
  return masked(~crc >>> 0);
}

function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

function crc32c(bytes: Uint8Array): number {
  let crc = -1;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      T7[low & 0xff]! ^
      T6[(low >>> 8) & 0xff]! ^
      T5[(low >>> 16) & 0xff]! ^
      T4[low >>> 24]! ^
      T3[bytes[at + 4]!]! ^
      T2[bytes[at + 5]!]! ^
      T1[bytes[at + 6]!]! ^
      T0[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) crc = crcStep(crc, bytes[at]!);
  return ~crc >>> 0;
}

const POLYNOMIAL = 0x82f63b78;
const MASK_DELTA = 0xa282ead8;

// By loops: each command begins with them, and has none of it compiled yet.
const T0 = new Int32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  T0[byte] = crc;
}
const T1 = oneByteOn(T0);
const T2 = oneByteOn(T1);
const T3 = oneByteOn(T2);
const T4 = oneByteOn(T3);
const T5 = oneByteOn(T4);
const T6 = oneByteOn(T5);
const T7 = oneByteOn(T6);

function oneByteOn(table: Int32Array): Int32Array {
  const next = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) next[byte] = (table[byte]! >>> 8) ^ T0[table[byte]! & 0xff]!;
  return next;
}
