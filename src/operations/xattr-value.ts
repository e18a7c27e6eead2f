import { StoreError } from "../errors.ts";

export type XattrEncoding = "text" | "hex" | "base64";

/**
 * An attribute's value as setfattr(1) takes it: `0x` and hex digits, `0s` and base64, text in double quotes with `\"`, `\\` and
 * `\NNN` for bytes in octal; all else is text.
 *
 * @throws {StoreError} USAGE
 */
export function parseXattrValue(text: string): Uint8Array {
  if (/^0x/i.test(text)) {
    if (/^0x([0-9a-f]{2})*$/i.test(text)) return Buffer.from(text.slice(2), "hex");
    throw invalid(text, "hex digits, two for each byte, follow 0x");
  }
  if (/^0s/i.test(text)) {
    if (/^0s([0-9a-z+/]{4})*([0-9a-z+/]{2}==|[0-9a-z+/]{3}=)?$/i.test(text))
      return Buffer.from(text.slice(2), "base64");
    throw invalid(text, "base64 follows 0s");
  }
  if (!text.startsWith('"')) return Buffer.from(text);
  if (!/^"([^"\\]|\\["\\]|\\[0-3][0-7]{2})*"$/s.test(text)) throw invalid(text, 'write \\" and \\\\ within quotes');
  const pieces = text.slice(1, -1).match(/\\[0-3][0-7]{2}|\\.|[^\\]+/gs) ?? [];
  return Buffer.concat(pieces.map(unescaped));
}

function unescaped(piece: string): Buffer {
  if (!piece.startsWith("\\")) return Buffer.from(piece);
  return piece.length === 4 ? Buffer.of(Number.parseInt(piece.slice(1), 8)) : Buffer.from(piece.slice(1));
}

/**
 * A value in the form that `parseXattrValue` takes.
 *
 * @param encoding if it is not given, text where all of it can be read, and base64 for what cannot
 */
export function xattrValueText(value: Uint8Array, encoding?: XattrEncoding): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (encoding === "hex") return `0x${bytes.toString("hex")}`;
  const text = bytes.toString("utf8");
  const isText = Buffer.from(text).equals(bytes);
  if (encoding === "base64" || (encoding === undefined && !(isText && !CONTROLS.test(text))))
    return `0s${bytes.toString("base64")}`;
  if (isText && !CONTROLS.test(text) && !/^(0[xs]|")/i.test(text)) return text;
  const quoted = isText ? text : bytes.toString("latin1");
  const special = isText ? /["\\\0-\x1f\x7f]/g : /["\\\0-\x1f\x7f-\xff]/g;
  return `"${quoted.replace(special, (c) => (/["\\]/.test(c) ? `\\${c}` : `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`))}"`;
}

const CONTROLS = /[\0-\x1f\x7f-\x9f]/;

function invalid(text: string, hint: string): StoreError {
  return new StoreError("USAGE", { reason: `"${text}" is no value of an attribute`, hint });
}
