import { createRequire } from "node:module";
import type * as Koffi from "koffi";

let loaded: typeof Koffi | undefined;

/** The FFI library. Loaded at its first use: `delta0 --version` needs none of it. */
export function koffi(): typeof Koffi {
  return (loaded ??= load(createRequire(import.meta.url)));
}

/** On most hosts without the package's own way to find out which binary it is: that takes 5 ms, the binary 2. */
function load(require: NodeJS.Require): typeof Koffi {
  const { arch } = process;
  try {
    return require(`@koromix/koffi-linux-${arch}/linux_${arch}/koffi.node`) as typeof Koffi;
  } catch {
    return require("koffi") as typeof Koffi;
  }
}

/** Memory for C: bytes, whose owner keeps them alive and unmoved during the call, or an address from `FixedMemory`. */
export type Pointer = Uint8Array | bigint;

/** A scratch buffer that C sees at one address; passing the address saves 0.3 µs per argument over passing bytes. */
export interface FixedMemory {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly address: bigint;
}

/** Lives as long as the result is referenced; V8 does not move memory that an ArrayBuffer was made for. */
export function fixedMemory(sizeBytes: number): FixedMemory {
  const memory = new ArrayBuffer(sizeBytes);
  return { bytes: Buffer.from(memory), view: new DataView(memory), address: koffi().address(new Uint8Array(memory)) };
}
