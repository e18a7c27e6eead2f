/**
 * The values last read: files that were imported together are read together, and share values. What it gives holds until the next `get`:
 * a value is read to where the one lay that it drops.
 */
export class RecentValues {
  readonly #values = new Map<number, { readonly value: Uint8Array; readonly room: Uint8Array }>();

  get(id: number, read: (room: Uint8Array) => Uint8Array | undefined): Uint8Array | undefined {
    const known = this.#values.get(id);
    if (known !== undefined) return known.value;
    const [oldest] = this.#values.size >= RECENT_VALUES ? this.#values : [];
    if (oldest !== undefined) this.#values.delete(oldest[0]);
    const room = oldest?.[1].room ?? new Uint8Array(ROOM_BYTES);
    const value = read(room);
    if (value !== undefined) this.#values.set(id, { value, room });
    return value;
  }
}

const RECENT_VALUES = 16;
/** A value holds a slab's share of frames, of about 128 KiB. */
const ROOM_BYTES = 256 * 1024;
