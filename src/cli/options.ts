import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { StoreError } from "../errors.ts";
import { parseDuration } from "../model/duration.ts";
import type { Identity } from "../index.ts";

/** An option of a verb. */
export interface Option {
  /** As commander takes them: "-m, --message TEXT" is written "-m, --message <TEXT>". */
  readonly flags: string;
  readonly description: string;
  /** May be given several times. */
  readonly repeat?: boolean;
  readonly choices?: readonly string[];
}

/** What every verb takes, before it or after it. */
export const GLOBAL_OPTIONS: readonly Option[] = [
  { flags: "--store <DIR>", description: "the store (default: $DELTA0_STORE, else one for this user)" },
  { flags: "--json", description: "one JSON document on standard output" },
  { flags: "-q, --quiet", description: "no progress, no warnings, not what was done" },
  { flags: "-v, --verbose", description: "more, where there is more; failures with their stacks" },
  { flags: "--wait <SECONDS>", description: "how long to wait for another process that has the store (default: 30)" },
  { flags: "--no-color", description: "no colours (as with $NO_COLOR)" },
  { flags: "-y, --yes", description: "ask nothing" },
];

export const NDJSON_OPTION: Option = { flags: "--ndjson", description: "progress and summary as lines of JSON" };

/** The options of one call. Keys are those of commander: `--one-file-system` is `oneFileSystem`. */
export class Options {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  /** True if the flag is there. */
  flag(key: string): boolean {
    return this.#values[key] === true;
  }

  /** True if `--no-KEY` is there. */
  refused(key: string): boolean {
    return this.#values[key] === false;
  }

  text(key: string): string | undefined {
    const value = this.#values[key];
    return typeof value === "string" ? value : undefined;
  }

  /** `{ [name]: value }`, to be spread, or nothing if it is not given. */
  textAs<N extends string>(name: N, key: string = name): Partial<Record<N, string>> {
    const value = this.text(key);
    return (value === undefined ? {} : { [name]: value }) as Partial<Record<N, string>>;
  }

  /** As `textAs`, for a path, made absolute. */
  pathAs<N extends string>(name: N, key: string = name): Partial<Record<N, string>> {
    const value = this.text(key);
    return (value === undefined ? {} : { [name]: resolve(value) }) as Partial<Record<N, string>>;
  }

  /** All values of an option that may be given several times. */
  list(key: string): readonly string[] {
    const value = this.#values[key];
    return Array.isArray(value) ? (value as string[]) : [];
  }

  /** @throws {StoreError} USAGE unless it is a number from `least` on */
  number(key: string, least: number): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^[0-9]+(\.[0-9]+)?$/.test(text) && value >= least) return value;
    throw new StoreError("USAGE", { reason: `${flagOf(key)} takes a number from ${least} on, not "${text}"` });
  }
}

/** Of --expires, which clone and create take. */
export const EXPIRES_OPTION: Option = {
  flags: "--expires <DURATION>",
  description: "from when on rm --expired removes it: 30m, 2h, 7d from now",
};

/** `--expires 2h` as the time that it will be then. @throws {StoreError} USAGE */
export function expiresAt(options: Options): { expires?: string } {
  const seconds = durationSeconds(options, "expires");
  return seconds === undefined ? {} : { expires: new Date(Date.now() + seconds * 1000).toISOString() };
}

/** `--KEY 2h` in seconds. @throws {StoreError} USAGE */
export function durationSeconds(options: Options, key: string): number | undefined {
  const text = options.text(key);
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms !== undefined && ms <= MOST_MS) return ms / 1000;
  throw new StoreError("USAGE", {
    reason: `${flagOf(key)} takes a number and s, m, h, d or w, not "${text}"`,
    hint: `${flagOf(key)} 2h`,
  });
}

/** So far the clock goes. */
const MOST_MS = 4e15;

/** `keepLast` as it is typed. */
function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

const IDENTITIES: readonly Identity[] = ["new", "keep"];

/** Of what makes containers. */
export const IDENTITY_OPTION: Option = {
  flags: "--identity <WHICH>",
  description: "host name, machine id, SSH host keys, MAC and DHCP id: of its own (default), or those it comes with",
  choices: IDENTITIES,
};

/** `{ identity }`, to be spread, or nothing if it is not given. */
export function identityOf(options: Options): { identity?: Identity } {
  const identity = IDENTITIES.find((known) => known === options.text("identity"));
  return identity === undefined ? {} : { identity };
}

/** @param whose for the help: "of the container" */
export function idMapOption(whose: string): Option {
  return {
    flags: "--idmap <MAP>",
    description: `user ids, group ids or both ${whose}: u:0:100000:65536, g:… or b:…; "none" for none`,
    repeat: true,
  };
}

/** `{ idMap }`, to be spread, or nothing if it is not given. */
export function idMapOf(options: Options): { idMap?: readonly string[] } {
  const ranges = options.list("idmap");
  if (ranges.length === 0) return {};
  return { idMap: ranges.length === 1 && ranges[0] === "none" ? [] : ranges };
}

export function storeDirectory(options: Options): string {
  const given = options.text("store") ?? process.env["DELTA0_STORE"];
  if (given !== undefined && given !== "") return resolve(given);
  if (process.geteuid?.() === 0) return "/var/lib/delta0";
  const data = process.env["XDG_DATA_HOME"];
  // The specification has relative paths ignored.
  return join(data?.startsWith("/") === true ? data : join(homedir(), ".local/share"), "delta0");
}

/** @throws {StoreError} USAGE unless each is KEY=VALUE */
export function parseLabels(labels: readonly string[]): Readonly<Record<string, string>> {
  const pairs = labels.map((label): [string, string] => {
    const [, key, value] = /^([^=]+)=(.*)$/s.exec(label) ?? [];
    if (key !== undefined && value !== undefined) return [key, value];
    throw new StoreError("USAGE", { reason: `"${label}" is no label`, hint: "write --label KEY=VALUE" });
  });
  return Object.fromEntries(pairs);
}

/** What a source or a target stands for does not depend on where the command was called: paths become absolute. */
export function absolutePath(text: string): string {
  if (text === "-") return text;
  const [, layout, tag = ""] = /^oci:([^:]+)(:.+)?$/s.exec(text) ?? [];
  return layout === undefined ? resolve(text) : `oci:${resolve(layout)}${tag}`;
}
