import { StoreError } from "../errors.ts";

/** `90s`, `30m`, `12h`, `7d`, `2w`, `0` in ms. @returns undefined for what is none */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const [, number = "", unit = ""] = /^([0-9]{1,9}(?:\.[0-9]+)?)(s|m|min|h|d|w)$/.exec(text) ?? [];
  const seconds = UNIT_SECONDS[unit];
  return seconds === undefined ? undefined : Number(number) * seconds * 1000;
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600, d: 86_400, w: 604_800 };

/** @returns ms. @throws {StoreError} USAGE */
export function requireDuration(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new StoreError("USAGE", { reason: `"${text}" is no length of time`, hint: "a number and s, m, h, d or w" });
}
