/** `90s`, `30m`, `12h`, `7d`, `2w` in ms. @returns undefined for what is none */
export function parseDuration(text: string): number | undefined {
  const [, number = "", unit = ""] = /^([0-9]{1,9}(?:\.[0-9]+)?)(s|m|min|h|d|w)$/.exec(text) ?? [];
  const seconds = UNIT_SECONDS[unit];
  return seconds === undefined ? undefined : Number(number) * seconds * 1000;
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600, d: 86_400, w: 604_800 };
