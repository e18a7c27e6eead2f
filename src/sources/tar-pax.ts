import { ACCESS_ACL, completeAcl, DEFAULT_ACL, isModeAcl } from "../format/acl.ts";
import { byteString } from "../model/name.ts";
import type { Xattr } from "../model/node.ts";
import { aclValue } from "./tar-acl.ts";
import { MalformedTar } from "./tar-malformed.ts";

/** What the extended headers before an entry say, over what the archive's global ones say. */
export class PaxRecords {
  readonly #globalFields: ReadonlyMap<string, Buffer>;
  readonly #globalXattrs: ReadonlyMap<string, Buffer>;
  readonly #fields = new Map<string, Buffer>();
  /** By whole keyword; here an empty value is a value. */
  readonly #xattrs = new Map<string, Buffer>();
  /** GNU sparse 0.0, the one format that means it when it repeats a keyword: offset, length, offset, length, … */
  readonly sparsePairs: number[] = [];
  #bytes = 0;

  constructor(globals?: PaxRecords) {
    this.#globalFields = globals ? globals.#fields : NOTHING;
    this.#globalXattrs = globals ? globals.#xattrs : NOTHING;
  }

  /** Whether nothing was added. */
  get isEmpty(): boolean {
    return this.#fields.size === 0 && this.#xattrs.size === 0;
  }

  /**
   * Adds the records `"LENGTH KEYWORD=VALUE\n"` of one extended header. Of two with one keyword the last wins.
   *
   * @param bytes kept: values are views of it
   */
  add(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (this.#bytes > MAX_PAX_BYTES) throw new MalformedTar(`has records above ${MAX_PAX_BYTES} bytes`);
    for (let start = 0; start < bytes.length;) {
      let length = 0;
      let at = start;
      for (; isDigit(bytes[at]) && length < bytes.length; at++) length = length * 10 + bytes[at]! - ZERO;
      const end = start + length;
      const equals = bytes.indexOf(EQUALS, at);
      if (bytes[at] !== SPACE || end > bytes.length || bytes[end - 1] !== NEWLINE || equals <= at + 1 || equals >= end)
        throw new MalformedTar("has records that are damaged");
      if (this.#fields.size + this.#xattrs.size > MAX_RECORDS)
        throw new MalformedTar(`has above ${MAX_RECORDS} records`);
      this.#set(byteString(bytes.subarray(at + 1, equals)), bytes.subarray(equals + 1, end - 1));
      start = end;
    }
  }

  /** @returns undefined also where an empty value takes back what was said before */
  field(keyword: string): Buffer | undefined {
    const value = this.#fields.get(keyword) ?? this.#globalFields.get(keyword);
    return value?.length === 0 ? undefined : value;
  }

  /** The value as a byte string. */
  text(keyword: string): string | undefined {
    const value = this.field(keyword);
    return value && byteString(value);
  }

  /** The value as an integer from 0 up. */
  number(keyword: string): number | undefined {
    const value = this.field(keyword);
    return value && parseDecimal(value, keyword);
  }

  /** The value as a time: decimal seconds, whatever is below a nanosecond rounded down, as GNU tar does. */
  time(keyword: string): { readonly sec: number; readonly nsec: number } | undefined {
    const value = this.field(keyword);
    if (value === undefined) return undefined;
    // Python writes 1 ns as "1e-09".
    const plain = byteString(value).replace(
      /^(-?)([0-9])(?:\.([0-9]+))?e-0?([1-9][0-9]{0,2})$/,
      (_, minus: string, whole: string, fraction: string | undefined, exponent: string) =>
        `${minus}0.${"0".repeat(Number(exponent) - 1)}${whole}${fraction ?? ""}`,
    );
    const match = /^(-?)([0-9]+)(?:\.([0-9]*))?$/.exec(plain);
    if (match === null) throw new MalformedTar(`has a ${keyword} that is no time`);
    const [, minus, whole, fraction = ""] = match;
    const sec = Number(whole);
    const nsec = Number(fraction.slice(0, 9).padEnd(9, "0"));
    if (minus === "") return { sec, nsec };
    // Down is away from zero here: what the nine digits leave out counts as one more of them.
    const below = nsec + (/[1-9]/.test(fraction.slice(9)) ? 1 : 0);
    if (below === 0) return { sec: 0 - sec, nsec: 0 };
    return { sec: -sec - 1, nsec: 1e9 - below };
  }

  /**
   * All extended attributes, in byte order of names, their values copied.
   *
   * @param acls which ACLs the type of file can have; those that stand there as attributes as well are not read as text
   */
  xattrs(acls: "access" | "access and default" | "none"): readonly Xattr[] {
    const found = decodeXattrs(new Map([...this.#globalXattrs, ...this.#xattrs]));
    if (acls !== "none") this.#addAcl(found, "access");
    if (acls === "access and default") this.#addAcl(found, "default");
    if (found.size === 0) return NO_XATTRS;
    return Array.from(found, ([name, value]) => {
      if (name.length === 0 || name.length > 255 || name.includes("\0"))
        throw new MalformedTar("has an extended attribute whose name cannot be");
      if (value.length > XATTR_MAX_BYTES)
        throw new MalformedTar(`has an extended attribute above ${XATTR_MAX_BYTES} bytes`);
      return { name, value: new Uint8Array(value) };
    }).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #addAcl(found: Map<string, Uint8Array>, kind: "access" | "default"): void {
    const name = kind === "access" ? ACCESS_ACL : DEFAULT_ACL;
    const text = this.text(`SCHILY.acl.${kind}`);
    if (text === undefined || found.has(name)) return;
    const value = aclValue(text);
    const acl = kind === "access" ? completeAcl(value) : undefined;
    if (acl === undefined || !isModeAcl(acl)) found.set(name, value);
  }

  #set(keyword: string, value: Buffer): void {
    if (keyword === "GNU.sparse.offset" || keyword === "GNU.sparse.numbytes") {
      if (this.sparsePairs.length % 2 !== (keyword === "GNU.sparse.offset" ? 0 : 1))
        throw new MalformedTar("has a sparse map that is damaged");
      this.sparsePairs.push(parseDecimal(value, keyword));
    } else if (keyword.startsWith(SCHILY_XATTR) || keyword.startsWith(LIBARCHIVE_XATTR)) {
      this.#xattrs.set(keyword, value);
    } else {
      this.#fields.set(keyword, value);
    }
  }
}

/** Decimal digits and nothing else. */
export function parseDecimal(digits: Uint8Array, what: string): number {
  let value = 0;
  for (const byte of digits) {
    if (!isDigit(byte)) throw new MalformedTar(`has a ${what} that is no number`);
    // The difference first: the sum of the others may be beyond 2^53.
    value = value * 10 + (byte - ZERO);
  }
  if (digits.length === 0 || !Number.isSafeInteger(value)) throw new MalformedTar(`has a ${what} that is out of range`);
  return value;
}

/**
 * bsdtar writes each attribute twice, as `SCHILY.xattr.NAME=value` and as `LIBARCHIVE.xattr.NAME=base64`. In the second
 * it always escaped the name as in URLs, in the first it did at times. GNU tar writes the first alone, with `%` and `=`
 * escaped.
 */
function decodeXattrs(records: ReadonlyMap<string, Buffer>): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const [keyword, value] of records) {
    if (!keyword.startsWith(LIBARCHIVE_XATTR)) continue;
    found.set(urlDecoded(keyword.slice(LIBARCHIVE_XATTR.length)), Buffer.from(byteString(value), "base64"));
  }
  // Then the first form says nothing new, and may say it wrongly: of an unescaped "user.a=b" it shows a "user.a".
  if (found.size > 0) return found;
  for (const [keyword, value] of records)
    found.set(keyword.slice(SCHILY_XATTR.length).replaceAll("%3D", "=").replaceAll("%25", "%"), value);
  return found;
}

function urlDecoded(name: string): string {
  return name.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= ZERO + 9;
}

/** For all headers of one entry, and for all global ones. */
export const MAX_PAX_BYTES: number = 8 << 20;
/** A record costs far more memory than its bytes. */
const MAX_RECORDS = 1 << 16;

const NOTHING: ReadonlyMap<string, Buffer> = new Map();
const NO_XATTRS: readonly Xattr[] = [];
const SCHILY_XATTR = "SCHILY.xattr.";
const LIBARCHIVE_XATTR = "LIBARCHIVE.xattr.";
const XATTR_MAX_BYTES = 65536;
const ZERO = 0x30;
const SPACE = 0x20;
const EQUALS = 0x3d;
const NEWLINE = 0x0a;
