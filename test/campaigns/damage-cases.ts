import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { KIND, kindRange } from "../../src/format/keys.ts";
import { prefixRange, UPPER_KIND } from "../../src/format/upper.ts";
import { Kv } from "../../src/kv/kv.ts";
import type { Range } from "../../src/kv/kv.ts";
import type { Random } from "./damage-random.ts";
import { filesIn, withExport } from "./damage-scene.ts";

/** What was done to a store. */
export interface DamageDone {
  /** "meta table", "record of a name", … */
  readonly kind: string;
  readonly action: "flip" | "zero" | "truncate" | "delete";
  readonly what: string;
  /** Bytes changed that anybody should miss. */
  readonly matters: boolean;
  /** Names, or what views changed, may be lost with it: they are in no other place. */
  readonly mayLose: "names" | "upper" | undefined;
}

const ACTIONS = ["flip", "zero", "truncate", "delete"] as const;
const PAGE_BYTES = 4096;

/** Files of a store, by kind. */
const FILES: Readonly<Record<string, { readonly directory: string; readonly name: RegExp }>> = {
  "meta table": { directory: "meta", name: /\.ldb$/ },
  "meta log": { directory: "meta", name: /\.log$/ },
  "meta MANIFEST": { directory: "meta", name: /^MANIFEST/ },
  "meta CURRENT": { directory: "meta", name: /^CURRENT$/ },
  "chunks table": { directory: "chunks", name: /\.ldb$/ },
  "chunks log": { directory: "chunks", name: /\.log$/ },
  "chunks MANIFEST": { directory: "chunks", name: /^MANIFEST/ },
  "chunks CURRENT": { directory: "chunks", name: /^CURRENT$/ },
  "uppers table": { directory: "uppers", name: /\.ldb$/ },
  "uppers log": { directory: "uppers", name: /\.log$/ },
  "uppers MANIFEST": { directory: "uppers", name: /^MANIFEST/ },
  "uppers CURRENT": { directory: "uppers", name: /^CURRENT$/ },
  pieces: { directory: "uppers.pieces", name: /^[0-9]+$/ },
  "other file of a database": { directory: "meta", name: /^(LOG|LOG\.old|LOCK|LEFT)$/ },
  "other file": { directory: ".", name: /^(owner\.json|lock|format)$/ },
};

/** Records, by kind. */
const RECORDS: Readonly<Record<string, { readonly database: string; readonly range: Range }>> = {
  "index entry": { database: "meta", range: kindRange("chunk") },
  node: { database: "meta", range: kindRange("node") },
  layer: { database: "meta", range: kindRange("layer") },
  name: { database: "meta", range: kindRange("ref") },
  history: { database: "meta", range: kindRange("history") },
  setting: { database: "meta", range: kindRange("setting") },
  "chunk value": { database: "chunks", range: {} },
  "upper header": { database: "uppers", range: prefixRange(Buffer.of(UPPER_KIND.header)) },
  "upper node": { database: "uppers", range: prefixRange(Buffer.of(UPPER_KIND.node)) },
  "upper entry": { database: "uppers", range: prefixRange(Buffer.of(UPPER_KIND.entry)) },
  "upper block": { database: "uppers", range: prefixRange(Buffer.of(UPPER_KIND.block)) },
};

export const DAMAGE_KINDS: readonly string[] = [
  ...Object.keys(FILES),
  "export",
  "manifest of an export",
  ...Object.keys(RECORDS).map((kind) => `record: ${kind}`),
];

/** Damages one thing of a store that is closed. */
export async function damage(store: string, kind: string, random: Random): Promise<DamageDone> {
  if (kind in FILES) return damageFile(store, kind, random);
  if (kind.startsWith("record: ")) return await damageRecord(store, kind, random);
  return await damageExport(store, kind, random);
}

function damageFile(store: string, kind: string, random: Random): DamageDone {
  const { directory, name } = FILES[kind]!;
  const found = filesIn(`${store}/${directory}`).filter((file) => name.test(file));
  const file = `${store}/${directory}/${random.of(found)}`;
  // And of pieces what fills a unit up, or was written over since.
  const isNobodys = kind === "pieces" || /\/(LOG|LOG\.old|LOCK|LEFT|owner\.json|lock)$/.test(file);
  const done = change(file, kind, random);
  // Of a table what fills its footer up, and of those of chunks the sums, which nobody reads: reads tell whether it matters.
  const mayBeNobodys = isNobodys || (done.action === "flip" && kind.endsWith(" table"));
  return mayBeNobodys ? { ...done, matters: false } : done;
}

function change(file: string, kind: string, random: Random): DamageDone {
  const action = random.of(ACTIONS);
  const before = readFileSync(file);
  const at = before.length === 0 ? 0 : random.below(before.length);
  switch (action) {
    case "flip":
    case "zero":
      writeFileSync(file, changed(before, at, action, random));
      break;
    case "truncate":
      truncateSync(file, at);
      break;
    case "delete":
      rmSync(file);
  }
  const matters = !existsSync(file) || !before.equals(readFileSync(file));
  return { kind, action, what: `${file} (${before.length} bytes) at ${at}`, matters, mayLose: lostWith(kind) };
}

/** @returns a copy */
function changed(bytes: Uint8Array, at: number, action: "flip" | "zero", random: Random): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length === 0) return copy;
  if (action === "flip") copy[at]! ^= 1 << random.below(8);
  else copy.subarray(at - (at % PAGE_BYTES)).fill(0, 0, Math.min(PAGE_BYTES, copy.length - at + (at % PAGE_BYTES)));
  return copy;
}

async function damageRecord(store: string, kind: string, random: Random): Promise<DamageDone> {
  const { database, range } = RECORDS[kind.slice("record: ".length)]!;
  await using kv = await Kv.open(`${store}/${database}`, { create: false });
  const rows: (readonly [Uint8Array, Uint8Array])[] = [];
  for await (const row of kv.iterate(range)) rows.push(row);
  const [key, value] = random.of(rows);
  const action = random.of(ACTIONS);
  const at = random.below(value.length);
  if (action === "delete") await kv.write([{ type: "del", key }]);
  else {
    const after = action === "truncate" ? value.subarray(0, at) : changed(value, at, action, random);
    await kv.write([{ type: "put", key, value: after }]);
  }
  await kv.barrier();
  const matters = action === "delete" ? !isMissedByNobody(key, kind) : Buffer.compare(value, kv.getSync(key)!) !== 0;
  const what = `key ${Buffer.from(key).toString("hex")} at ${at} of ${value.length}`;
  return { kind, action, what, matters, mayLose: lostWith(kind) };
}

function lostWith(kind: string): DamageDone["mayLose"] {
  if (kind === "meta table" || kind === "meta log") return "names";
  return kind.startsWith("uppers ") || kind === "pieces" || kind.startsWith("record: upper") ? "upper" : undefined;
}

/**
 * Records whose loss as a whole, without a trace in any file, looks as if they had never been: entries of the history and settings, which
 * gc and users delete; an upper's header, which a fold deletes; and of an upper the record of a node without parts.
 */
function isMissedByNobody(key: Uint8Array, kind: string): boolean {
  if (key[0] === KIND.setting && kind === "record: setting") return !Buffer.from(key).includes("next-chunk-value");
  return ["record: history", "record: upper header", "record: upper node"].includes(kind);
}

async function damageExport(store: string, kind: string, random: Random): Promise<DamageDone> {
  const home = await withExport(store);
  if (kind === "export") {
    const files = filesIn(`${home}/etc`).filter((name) => statSync(`${home}/etc/${name}`).size > 0);
    return change(`${home}/etc/${random.of(files)}`, kind, random);
  }
  const manifests = `${store}/private/manifests`;
  return change(`${manifests}/${random.of(filesIn(manifests))}`, kind, random);
}
