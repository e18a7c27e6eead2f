/**
 * A POSIX ACL as acl_to_text(3) writes it, with numeric ids and commas: what tars carry beside the kernel's own form.
 * Source: linux/posix_acl_xattr.h.
 *
 * @param acl the value of an xattr `system.posix_acl_access` or `…_default`
 * @returns undefined if it is none
 */
export function aclText(acl: Uint8Array): string | undefined {
  const view = new DataView(acl.buffer, acl.byteOffset, acl.byteLength);
  if (acl.length < HEADER_BYTES || (acl.length - HEADER_BYTES) % ENTRY_BYTES !== 0) return undefined;
  if (view.getUint32(0, true) !== VERSION) return undefined;
  const entries: string[] = [];
  for (let at = HEADER_BYTES; at < acl.length; at += ENTRY_BYTES) {
    const tag = TAGS.get(view.getUint16(at, true));
    const permissions = view.getUint16(at + 2, true);
    if (tag === undefined || permissions > 7) return undefined;
    const id = tag.named ? view.getUint32(at + 4, true) : "";
    const flags = ["r", "w", "x"].map((flag, i) => ((permissions << i) & 4 ? flag : "-"));
    entries.push(`${tag.name}:${id}:${flags.join("")}`);
  }
  return entries.join(",");
}

const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
const TAGS: ReadonlyMap<number, { readonly name: string; readonly named: boolean }> = new Map([
  [0x01, { name: "user", named: false }],
  [0x02, { name: "user", named: true }],
  [0x04, { name: "group", named: false }],
  [0x08, { name: "group", named: true }],
  [0x10, { name: "mask", named: false }],
  [0x20, { name: "other", named: false }],
]);
