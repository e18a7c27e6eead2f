import { decodeAcl, GROUP, GROUP_OBJ, isNamed, MASK, OTHER, USER, USER_OBJ } from "../format/acl.ts";

/**
 * A POSIX ACL as acl_to_text(3) writes it, with numeric ids and commas: what tars carry beside the kernel's own form.
 *
 * @param value of an xattr `system.posix_acl_access` or `…_default`
 * @returns undefined if it is none
 */
export function aclText(value: Uint8Array): string | undefined {
  const acl = decodeAcl(value);
  if (typeof acl === "string" || acl.length === 0 || acl.some(({ permissions }) => permissions > 7)) return undefined;
  return acl
    .map(({ tag, permissions, id }) => {
      const flags = ["r", "w", "x"].map((flag, i) => ((permissions << i) & 4 ? flag : "-"));
      return `${NAMES.get(tag) ?? ""}:${isNamed(tag) ? id : ""}:${flags.join("")}`;
    })
    .join(",");
}

const NAMES: ReadonlyMap<number, string> = new Map([
  [USER_OBJ, "user"],
  [USER, "user"],
  [GROUP_OBJ, "group"],
  [GROUP, "group"],
  [MASK, "mask"],
  [OTHER, "other"],
]);
