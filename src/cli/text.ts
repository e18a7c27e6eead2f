/** "812 B", "63.1 MiB". */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  // 1023.95 KiB would be shown as 1024.0.
  const exponent = Math.min(Math.floor(Math.log2(bytes / 1023.95) / 10) + 1, UNITS.length);
  return `${(bytes / 1024 ** exponent).toFixed(1)} ${UNITS[exponent - 1] ?? ""}`;
}

const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/** "1 chunk", "1234 chunks". */
export function count(number: number, what: string): string {
  return `${number} ${number === 1 ? what : plural(what)}`;
}

function plural(what: string): string {
  return what.endsWith("y") ? `${what.slice(0, -1)}ies` : `${what}s`;
}

/** An RFC 3339 time as this host's clock shows it: "2026-11-24 23:59". */
export function formatTime(time: string): string {
  const date = new Date(time);
  const two = (part: number): string => String(part).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** How long ago: "2 h ago", in the largest unit that gives at least one. */
export function formatAge(time: string): string {
  return `${formatDuration(Math.max(0, (Date.now() - Date.parse(time)) / 1000))} ago`;
}

function formatDuration(seconds: number): string {
  const [unit, length] = DURATIONS.find(([, length]) => seconds >= length) ?? ["s", 1];
  return `${Math.floor(seconds / length)} ${unit}`;
}

const DURATIONS = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
] as const;

export function formatSeconds(seconds: number): string {
  return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}

/** A tree digest in documents: `blake3:<64 hex>`. */
export function digestText(digest: string): string {
  return `blake3:${digest}`;
}

/** A tree digest for people: enough of it to be given back as a ref. */
export function shortDigest(digest: string): string {
  return `blake3:${digest.slice(0, 16)}`;
}

/**
 * Text that a terminal shows as it is: control characters and those that turn the direction of writing are escaped.
 * Never parse it back.
 */
export function visible(text: string): string {
  return text.replace(/[\0-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x100 ? hexEscape(code) : `\\u${code.toString(16)}`;
  });
}

/** A name that may be no UTF-8, as `describePath` gives it: bytes that are none are escaped. */
export function visibleName(text: string, base64: string | undefined): string {
  if (base64 === undefined) return visible(text);
  const bytes = Buffer.from(base64, "base64").toString("latin1");
  return bytes.replace(/[^\x20-\x7e]/g, (c) => hexEscape(c.charCodeAt(0)));
}

function hexEscape(code: number): string {
  return `\\x${code.toString(16).padStart(2, "0")}`;
}

/** Rows in aligned columns, two blanks apart. `right`: the columns that are numbers. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (let i = 0; i < row.length; i++) widths[i] = Math.max(widths[i] ?? 0, row[i]?.length ?? 0);
  return rows.map((row) => {
    let line = "";
    let column = 0;
    for (let i = 0; i < row.length; i++) {
      const cell = row[i] ?? "";
      const width = widths[i] ?? 0;
      const start = right.includes(i) ? column + width - cell.length : column;
      if (cell !== "") line += blanks(start - line.length) + cell;
      column += width + 2;
    }
    return line;
  });
}

/** Of tables of ten thousand rows making them each time would be half the work. */
function blanks(count: number): string {
  return (BLANKS[count] ??= " ".repeat(count));
}

const BLANKS: string[] = [];
