import { StoreError } from "../errors.ts";

/**
 * A number of bytes as people write it: "512M", "20GiB", "1.5T", "4096". Units are powers of 1024.
 *
 * @throws {StoreError} USAGE
 */
export function requireSize(text: string): number {
  const [, number, unit = ""] = /^([0-9]{1,15}(?:\.[0-9]{1,9})?)(?:([KMGTP])(?:i?B)?)?$/i.exec(text) ?? [];
  const exponent = unit === "" ? 0 : UNITS.indexOf(unit.toUpperCase()) + 1;
  const bytes = Math.round(Number(number) * 1024 ** exponent);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new StoreError("USAGE", { reason: `"${text}" is no size`, hint: "a number and K, M, G or T, as 20G" });
}

const UNITS = "KMGTP";
