import { ACCESS_ACL, DEFAULT_ACL } from "../format/acl.ts";
import type { Xattr } from "../model/node.ts";
import { aclText } from "./acl-text.ts";
import {
  encodeTarHeader,
  MAX_LINK_BYTES,
  MAX_LONG_OCTAL,
  MAX_SHORT_OCTAL,
  splitTarName,
  TAR_BLOCK_BYTES,
} from "./tar-header.ts";
import type { TarHeader } from "./tar-header.ts";

/** One extended record. Both are bytes: keys as a byte string. */
export interface PaxRecord {
  readonly key: string;
  readonly value: string | Uint8Array;
}

/** The extended header of a member, padded to whole blocks; nothing if there are no records. */
export function encodePax(records: readonly PaxRecord[]): Buffer {
  if (records.length === 0) return Buffer.alloc(0);
  const body = Buffer.concat(records.map(encodeRecord));
  const header = encodeTarHeader({ name: "././@PaxHeader", type: "x", metadata: PAX_METADATA, size: body.length });
  return Buffer.concat([header, body, Buffer.alloc(-body.length & (TAR_BLOCK_BYTES - 1))]);
}

/** Records for what the header's own fields cannot say. */
export function overflowRecords({ name, metadata, size, link = "" }: TarHeader): PaxRecord[] {
  const { uid, gid, mtimeSec, mtimeNsec } = metadata;
  const records: PaxRecord[] = [];
  if (splitTarName(name) === undefined) records.push({ key: "path", value: name });
  if (link.length > MAX_LINK_BYTES) records.push({ key: "linkpath", value: link });
  if (uid > MAX_SHORT_OCTAL) records.push({ key: "uid", value: `${uid}` });
  if (gid > MAX_SHORT_OCTAL) records.push({ key: "gid", value: `${gid}` });
  if (size > MAX_LONG_OCTAL) records.push({ key: "size", value: `${size}` });
  if (mtimeNsec !== 0 || mtimeSec < 0 || mtimeSec > MAX_LONG_OCTAL)
    records.push({ key: "mtime", value: timeText(mtimeSec, mtimeNsec) });
  return records;
}

/**
 * Attributes in the form that GNU tar and star gave them. An ACL stands there twice: GNU tar takes the text with --acls
 * and the bytes without, bsdtar the text only.
 */
export function xattrRecords(xattrs: readonly Xattr[]): PaxRecord[] {
  return xattrs.flatMap(({ name, value }) => {
    const bytes = { key: `SCHILY.xattr.${keyOfXattr(name)}`, value };
    const acl = ACL_KEYS.get(name);
    const text = acl === undefined ? undefined : aclText(value);
    return acl === undefined || text === undefined ? [bytes] : [{ key: acl, value: text }, bytes];
  });
}

/**
 * Says that names are bytes in no charset, if they are not plain ASCII. bsdtar else takes them for UTF-8, and fails where
 * the locale cannot hold them; GNU tar takes them for bytes anyway, and warns that it does not know the record.
 */
export function charsetRecords(records: readonly PaxRecord[]): PaxRecord[] {
  const names = records.filter(({ key }) => NAME_KEYS.has(key));
  const plain = names.every(({ value }) => typeof value === "string" && /^[\x00-\x7f]*$/.test(value));
  return plain ? [] : [{ key: "hdrcharset", value: "BINARY" }];
}

const PAX_METADATA = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0 };
const NAME_KEYS: ReadonlySet<string> = new Set(["path", "linkpath", "GNU.sparse.name"]);
const ACL_KEYS: ReadonlyMap<string, string> = new Map([
  [ACCESS_ACL, "SCHILY.acl.access"],
  [DEFAULT_ACL, "SCHILY.acl.default"],
]);

/** As GNU tar has it, since a key ends at its first "="; only where it must, since bsdtar takes keys as they are. */
function keyOfXattr(name: string): string {
  return /=|%3D|%25/.test(name) ? name.replaceAll("%", "%25").replaceAll("=", "%3D") : name;
}

function encodeRecord({ key, value }: PaxRecord): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value, "latin1") : value;
  const rest = key.length + bytes.length + 3; // " ", "=" and the newline
  let length = rest;
  // The length counts its own digits.
  while (length !== rest + `${length}`.length) length = rest + `${length}`.length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`, "latin1"), bytes, NEWLINE]);
}

const NEWLINE = Buffer.from("\n");

/** A decimal number of seconds, exact, without zeros at the end. */
function timeText(sec: number, nsec: number): string {
  if (nsec === 0) return `${sec}`;
  // -2 s and 5·10^8 ns are -1.5 s.
  const [sign, whole, fraction] = sec < 0 ? ["-", -(sec + 1), 1e9 - nsec] : ["", sec, nsec];
  return `${sign}${whole}.${`${fraction}`.padStart(9, "0").replace(/0+$/, "")}`;
}
