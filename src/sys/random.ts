import { checked, libc } from "./libc.ts";

/** At most 256 bytes, from the kernel: Node's own come with all of its cryptography, which takes 3 ms to load. */
export function randomBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  checked(libc().getrandom(bytes, length, 0), "getrandom");
  return bytes;
}
