import { createPrivateKey, randomBytes } from "node:crypto";
import type { JsonWebKey, KeyObject } from "node:crypto";

/** What OpenSSH's host keys are made by; `bits` of the modulus. */
export type SshKeyKind =
  | { readonly type: "ed25519" }
  | { readonly type: "ecdsa"; readonly curve: EcdsaCurve }
  | { readonly type: "rsa"; readonly bits: number };
export type EcdsaCurve = "nistp256" | "nistp384" | "nistp521";

/** As ssh-keygen writes them, both with a newline at the end. */
export interface SshKeyFiles {
  readonly privateKey: string;
  readonly publicKey: string;
}

/**
 * A key in OpenSSH's own format, without a passphrase, and its public half.
 *
 * Source: OpenSSH, PROTOCOL.key; RFC 4253, section 6.6; RFC 5656, section 3.1; RFC 8709, section 4.
 *
 * @param key private: Ed25519, RSA, or ECDSA on one of the curves of `EcdsaCurve`
 * @param comment one line
 */
export function formatSshKey(key: KeyObject, comment: string): SshKeyFiles {
  const { name, publicFields, privateFields } = fieldsOf(key.export({ format: "jwk" }));
  const publicBlob = Buffer.concat([string(name), ...publicFields]);
  // Twice the same number, by which a wrong passphrase would show.
  const check = randomBytes(4);
  const secret = Buffer.concat([check, check, string(name), ...privateFields, string(comment)]);
  const padding = Buffer.from(Array.from({ length: -secret.length & (BLOCK_BYTES - 1) }, (_, i) => i + 1));
  const blob = Buffer.concat([
    MAGIC,
    string("none"),
    string("none"),
    string(""),
    uint32(1),
    string(publicBlob),
    string(Buffer.concat([secret, padding])),
  ]);
  const lines = blob.toString("base64").match(/.{1,70}/g) ?? [];
  return {
    privateKey: [BEGIN, ...lines, END, ""].join("\n"),
    publicKey: `${name} ${publicBlob.toString("base64")} ${comment}\n`,
  };
}

/** @param privateKey the text of a file: OpenSSH's own format, or PEM. @returns undefined for what is no such key */
export function parseSshKeyKind(privateKey: string): SshKeyKind | undefined {
  const own = new RegExp(`${BEGIN}\n([A-Za-z0-9+/=\\s]*)${END}`).exec(privateKey)?.[1];
  return own === undefined ? kindOfPem(privateKey) : kindOfBlob(Buffer.from(own, "base64"));
}

const BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC = Buffer.from("openssh-key-v1\0");
/** Of the cipher "none". */
const BLOCK_BYTES = 8;
const UNCOMPRESSED_POINT = 4;

const CURVES: Readonly<Record<string, EcdsaCurve>> = { "P-256": "nistp256", "P-384": "nistp384", "P-521": "nistp521" };
/** OpenSSL's names for them. */
const PEM_CURVES: Readonly<Record<string, EcdsaCurve>> = {
  prime256v1: "nistp256",
  secp384r1: "nistp384",
  secp521r1: "nistp521",
};

interface Fields {
  readonly name: string;
  readonly publicFields: readonly Buffer[];
  /** With the public ones, in an order of their own. */
  readonly privateFields: readonly Buffer[];
}

function fieldsOf(key: JsonWebKey): Fields {
  const part = (field: keyof JsonWebKey): Buffer => {
    const value = key[field];
    if (typeof value !== "string") throw new Error(`a ${String(key.kty)} key without ${field}`);
    return Buffer.from(value, "base64url");
  };
  const curve = CURVES[key.crv ?? ""];
  if (key.kty === "RSA") {
    const [n, e] = [mpint(part("n")), mpint(part("e"))];
    const privateFields = [n, e, ...(["d", "qi", "p", "q"] as const).map((field) => mpint(part(field)))];
    return { name: "ssh-rsa", publicFields: [e, n], privateFields };
  }
  if (key.kty === "OKP" && key.crv === "Ed25519") {
    const point = part("x");
    const publicFields = [string(point)];
    return {
      name: "ssh-ed25519",
      publicFields,
      privateFields: [...publicFields, string(Buffer.concat([part("d"), point]))],
    };
  }
  if (key.kty !== "EC" || curve === undefined) throw new Error(`no host key can be ${key.kty} ${key.crv ?? ""}`);
  const point = Buffer.concat([Buffer.from([UNCOMPRESSED_POINT]), part("x"), part("y")]);
  const publicFields = [string(curve), string(point)];
  return { name: `ecdsa-sha2-${curve}`, publicFields, privateFields: [...publicFields, mpint(part("d"))] };
}

function kindOfPem(text: string): SshKeyKind | undefined {
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch {
    // OpenSSL has no code of its own for "no key".
    return undefined;
  }
  const { modulusLength, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  const curve = PEM_CURVES[namedCurve];
  if (key.asymmetricKeyType === "ed25519") return { type: "ed25519" };
  if (key.asymmetricKeyType === "rsa" && modulusLength !== undefined) return { type: "rsa", bits: modulusLength };
  return key.asymmetricKeyType === "ec" && curve !== undefined ? { type: "ecdsa", curve } : undefined;
}

/** The public half stands in it as it is, also where the private one is encrypted. */
function kindOfBlob(blob: Buffer): SshKeyKind | undefined {
  if (!blob.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  // The names of cipher and key derivation, its options, and as many bytes as a number takes: that of the keys.
  const [, , options] = stringsOf(blob, MAGIC.length);
  const [publicBlob] = stringsOf(blob, (options?.end ?? blob.length) + 4);
  const [name, , modulus] = stringsOf(publicBlob?.bytes ?? Buffer.alloc(0), 0);
  const type = name?.bytes.toString("latin1");
  const curve = Object.values(CURVES).find((curve) => type === `ecdsa-sha2-${curve}`);
  if (type === "ssh-ed25519") return { type: "ed25519" };
  if (curve !== undefined) return { type: "ecdsa", curve };
  if (type !== "ssh-rsa" || modulus === undefined) return undefined;
  const n = withoutZeros(modulus.bytes);
  return { type: "rsa", bits: n.length * 8 - Math.clz32(n[0] ?? 0) + 24 };
}

/** The strings that stand one after the other from `offset` on, as far as they are whole. */
function stringsOf(bytes: Buffer, offset: number): { readonly bytes: Buffer; readonly end: number }[] {
  const found: { bytes: Buffer; end: number }[] = [];
  for (let at = offset; at + 4 <= bytes.length;) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) break;
    found.push({ bytes: bytes.subarray(at + 4, end), end });
    at = end;
  }
  return found;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** With its length before it. RFC 4251, section 5. */
function string(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

/** A number above 0, highest byte first, in as few bytes as leave its highest bit 0. */
function mpint(value: Buffer): Buffer {
  const bytes = withoutZeros(value);
  return string(((bytes[0] ?? 0) & 0x80) === 0 ? bytes : Buffer.concat([Buffer.alloc(1), bytes]));
}

function withoutZeros(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? bytes.subarray(bytes.length) : bytes.subarray(first);
}
