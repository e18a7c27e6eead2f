import { readFileSync, statSync } from "node:fs";
import { errnoOf, StoreError } from "../errors.ts";
import { byteStringOf } from "../model/name.ts";
import { writeFileDurably } from "../sys/durable.ts";

/**
 * An LXC config, line by line, so that what nobody changed is written back byte for byte: comments, unknown keys, order.
 * Includes are not followed.
 */
export interface ConfigFile {
  readonly lines: readonly ConfigLine[];
}

interface ConfigLine {
  /** All of it but the newline, one char per byte. */
  readonly text: string;
  /** What it sets; undefined for blank lines, comments and what LXC skips. */
  readonly setting: Setting | undefined;
}

export interface Setting {
  /** By its present name, also where the file has that of LXC 1. */
  readonly key: string;
  /** Without the blanks and the quotes around it. Bytes that are no UTF-8 show as U+FFFD. */
  readonly value: string;
}

export function parseConfig(bytes: Uint8Array | string): ConfigFile {
  const text = typeof bytes === "string" ? byteStringOf(bytes) : Buffer.from(bytes).toString("latin1");
  return { lines: text.split("\n").map(parseLine) };
}

export function formatConfig(config: ConfigFile): Buffer {
  return Buffer.from(config.lines.map((line) => line.text).join("\n"), "latin1");
}

/** @throws {Error} of node:fs */
export function readConfig(path: string): ConfigFile {
  return parseConfig(readFileSync(path));
}

/** Puts it in place as a whole, durably. An existing file keeps its mode (LXC's own are 0640), a new one gets 0644. */
export function writeConfig(path: string, config: ConfigFile): void {
  writeFileDurably(path, formatConfig(config), modeOf(path) ?? 0o644);
}

/** In file order. */
export function settingsOf(config: ConfigFile): Setting[] {
  return config.lines.flatMap(({ setting }) => setting ?? []);
}

/** Of a key that is set several times, the last one, as for LXC. An empty value unsets a key. */
export function getValue(config: ConfigFile, key: string): string | undefined {
  return getValues(config, key).at(-1);
}

/** Of a key that adds up (`lxc.mount.entry`), all that count: an empty value drops those before it. */
export function getValues(config: ConfigFile, key: string): string[] {
  const values = settingsOf(config)
    .filter((setting) => setting.key === key)
    .map(({ value }) => value);
  return values.slice(values.lastIndexOf("") + 1);
}

/**
 * Sets a key to one value, where it was last set, or at the end.
 *
 * @throws {StoreError} USAGE if LXC could not read that line
 */
export function setValue(config: ConfigFile, key: string, value: string): ConfigFile {
  const at = config.lines.findLastIndex((line) => line.setting?.key === key);
  if (at < 0) return appendValue(config, key, value);
  const lines = config.lines.flatMap((line, i) => {
    if (i === at) return line.setting?.value === value ? line : settingLine(key, value);
    return line.setting?.key === key ? [] : line;
  });
  return { lines };
}

/** Adds a line at the end. @throws {StoreError} USAGE if LXC could not read it */
export function appendValue(config: ConfigFile, key: string, value: string): ConfigFile {
  const { lines } = config;
  // A file that ends with a newline has an empty last line, which stays the last.
  const end = lines.at(-1)?.text === "" ? lines.length - 1 : lines.length;
  return { lines: [...lines.slice(0, end), settingLine(key, value), END] };
}

export function removeSettings(config: ConfigFile, which: (setting: Setting) => boolean): ConfigFile {
  return { lines: config.lines.filter(({ setting }) => setting === undefined || !which(setting)) };
}

/** Replaces what `pattern` (global) matches in values; both it and `replacement` are byte strings. */
export function replaceInValues(config: ConfigFile, pattern: RegExp, replacement: string): ConfigFile {
  const lines = config.lines.map((line) => {
    if (line.setting === undefined) return line;
    const start = line.text.indexOf("=") + 1;
    const value = line.text.slice(start).replace(pattern, () => replacement);
    return parseLine(line.text.slice(0, start) + value);
  });
  return { lines };
}

/** `KEY=VALUE` as a user types it. @throws {StoreError} USAGE unless it is one line of a config */
export function parseSetting(text: string): Setting {
  const { setting } = parseLine(byteStringOf(text));
  if (setting === undefined || text.includes("\n") || text.includes("\0")) {
    throw new StoreError("USAGE", {
      reason: `"${text}" sets no LXC key`,
      hint: "write KEY=VALUE, such as lxc.start.auto=1",
    });
  }
  return setting;
}

const END: ConfigLine = { text: "", setting: undefined };

/** Keys that were renamed with LXC 2.1, from lxc-update-config. */
const PRESENT_NAMES: Readonly<Record<string, string>> = {
  "lxc.rootfs": "lxc.rootfs.path",
  "lxc.utsname": "lxc.uts.name",
  "lxc.mount": "lxc.mount.fstab",
  "lxc.id_map": "lxc.idmap",
  "lxc.pts": "lxc.pty.max",
  "lxc.tty": "lxc.tty.max",
  "lxc.devttydir": "lxc.tty.dir",
  "lxc.aa_profile": "lxc.apparmor.profile",
  "lxc.aa_allow_incomplete": "lxc.apparmor.allow_incomplete",
  "lxc.se_context": "lxc.selinux.context",
  "lxc.seccomp": "lxc.seccomp.profile",
  "lxc.console": "lxc.console.path",
  "lxc.haltsignal": "lxc.signal.halt",
  "lxc.rebootsignal": "lxc.signal.reboot",
  "lxc.stopsignal": "lxc.signal.stop",
  "lxc.syslog": "lxc.log.syslog",
  "lxc.loglevel": "lxc.log.level",
  "lxc.logfile": "lxc.log.file",
  "lxc.init_cmd": "lxc.init.cmd",
  "lxc.init_uid": "lxc.init.uid",
  "lxc.init_gid": "lxc.init.gid",
};

// As parse_line of LXC's confile.c has it, which is C and ends at a NUL.
function parseLine(text: string): ConfigLine {
  const line = text.split("\0", 1)[0] ?? "";
  const equals = line.indexOf("=");
  const key = trimmed(line.slice(0, Math.max(equals, 0)), " \t", " \t");
  if (!key.startsWith("lxc.")) return { text, setting: undefined };
  const value = trimmed(line.slice(equals + 1), " \t", " \t\r");
  const bare = /^(['"])(.*)\1$/s.exec(value)?.[2] ?? value;
  return { text, setting: { key: PRESENT_NAMES[key] ?? key, value: Buffer.from(bare, "latin1").toString("utf8") } };
}

/** A regular expression would take the square of a line of blanks. */
function trimmed(text: string, before: string, behind: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && before.includes(text.charAt(start))) start++;
  while (end > start && behind.includes(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}

function settingLine(key: string, value: string): ConfigLine {
  const bare = /^[ \t\r]|[ \t\r]$|^(['"]).*\1$/s.test(value) ? `"${value}"` : value;
  const line = parseLine(byteStringOf(`${key} = ${bare}`));
  if (line.setting?.key !== key || line.setting.value !== value || /[\n\0]/.test(value)) {
    throw new StoreError("USAGE", { reason: `an LXC config cannot hold ${key} = ${JSON.stringify(value)}` });
  }
  return line;
}

function modeOf(path: string): number | undefined {
  try {
    return statSync(path).mode & 0o7777;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
