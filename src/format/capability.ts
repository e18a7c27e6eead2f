/**
 * The user who is root where a file's capabilities count: 0 for revision 2, which has none, and what revision 3 says. Source: Linux,
 * include/uapi/linux/capability.h; security/commoncap.c, cap_inode_getsecurity.
 *
 * @param value of an xattr `security.capability`
 * @returns undefined for what is neither
 */
export function capabilityRoot(value: Uint8Array): number | undefined {
  const view = viewOf(value);
  if (value.length < SIZE_2) return undefined;
  const revision = view.getUint32(0, true) & REVISION_MASK;
  if (revision === REVISION_2 && value.length === SIZE_2) return 0;
  return revision === REVISION_3 && value.length === SIZE_3 ? view.getUint32(SIZE_2, true) : undefined;
}

/** The same capabilities for another root user, of revision 2 if that is 0: so the kernel shows them to it. */
export function withCapabilityRoot(value: Uint8Array, root: number): Uint8Array {
  const flags = viewOf(value).getUint32(0, true) & ~REVISION_MASK;
  const changed = new Uint8Array(root === 0 ? SIZE_2 : SIZE_3);
  changed.set(value.subarray(0, SIZE_2));
  const view = viewOf(changed);
  view.setUint32(0, (root === 0 ? REVISION_2 : REVISION_3) | flags, true);
  if (root !== 0) view.setUint32(SIZE_2, root, true);
  return changed;
}

function viewOf(value: Uint8Array): DataView {
  return new DataView(value.buffer, value.byteOffset, value.byteLength);
}

const REVISION_MASK = 0xff000000 | 0;
const REVISION_2 = 0x02000000;
const REVISION_3 = 0x03000000;
const SIZE_2 = 20;
const SIZE_3 = 24;
