import { comparePaths } from "../../src/model/name.ts";
import type { TreePath } from "../../src/model/name.ts";
import type { RawNode } from "../../src/model/change.ts";
import type { Model, ModelEntry } from "../support/random-tree.ts";

/** Three file systems as tables. */
export interface Models {
  readonly base: Model;
  readonly ours: Model;
  readonly theirs: Model;
}

type Version = RawNode | undefined;
type Result = { node: Version } | "conflict";

/**
 * What a merge shows, worked out entry by entry and pair by pair: slow and plain.
 *
 * @returns also the result, unless there are conflicts
 */
export function mergeNaively(models: Models): { conflicts: TreePath[]; model: Model } {
  const { base, ours, theirs } = models;
  const paths = [...new Set([...base.keys(), ...ours.keys(), ...theirs.keys()])].sort(comparePaths);
  const conflicts = new Set<TreePath>();
  const whole: TreePath[] = [];
  const results = new Map<TreePath, Result>();
  for (const path of paths) {
    if (whole.some((above) => path.startsWith(`${above}/`))) continue;
    const [b, o, t] = [base, ours, theirs].map((model) => model.get(path)?.node) as [Version, Version, Version];
    if (isDirectory(o) === isDirectory(t)) results.set(path, mergeEntry(b, o, t));
    else {
      const [model, other] = isDirectory(o) ? [ours, t] : [theirs, o];
      const isSame = isDirectory(b) ? !isChangedWithin(path, base, model) : !isTouched(b, other);
      if (isSame) results.set(path, { node: isDirectory(b) ? other : model.get(path)?.node });
      else {
        conflicts.add(path);
        whole.push(path);
      }
    }
  }
  const shown = [...results].filter(([path, result]) =>
    result === "conflict" ? !isDirectory(ours.get(path)?.node) : result.node !== undefined && !isDirectory(result.node),
  );
  const components = componentsOf(
    shown.map(([path]) => path),
    (p, q) => isLinked(models, p, q),
  );
  const merged: Model = new Map();
  for (const [path, result] of results)
    if (result === "conflict") conflicts.add(path);
    else if (isDirectory(result.node)) merged.set(path, { inode: {}, node: result.node! });
  for (const names of components) {
    const isFixed = (path: TreePath): boolean =>
      results.get(path) === "conflict" ||
      isFile(base.get(path)) ||
      (isFile(ours.get(path)) && isFile(theirs.get(path)));
    const fixed = names.filter(isFixed);
    const found = new Set(fixed.map((path) => key(results.get(path)!)));
    if (found.size > 1 || found.has("conflict")) for (const path of fixed) conflicts.add(path);
    const result = results.get(fixed[0] ?? names[0]!)!;
    const inode = {};
    if (result !== "conflict") for (const path of names) merged.set(path, { inode, node: result.node! });
  }
  return { conflicts: [...conflicts].sort(comparePaths), model: merged };
}

function key(result: Result): string {
  return result === "conflict"
    ? result
    : JSON.stringify([...aspects(result.node!)].filter(([name]) => name !== "time"));
}

function isDirectory(node: Version): boolean {
  return node?.type === "directory";
}

function isFile(entry: ModelEntry | undefined): boolean {
  return entry !== undefined && !isDirectory(entry.node);
}

/** Each pair has a say in the models that have both. */
function isLinked({ base, ours, theirs }: Models, p: TreePath, q: TreePath): boolean {
  const say = (model: Model): boolean | undefined =>
    isFile(model.get(p)) && isFile(model.get(q)) ? model.get(p)?.inode === model.get(q)?.inode : undefined;
  const b = say(base);
  if (b === undefined) return say(ours) === true || say(theirs) === true;
  const [o, t] = [say(ours) ?? b, say(theirs) ?? b];
  return o === b ? t : o;
}

function componentsOf(paths: readonly TreePath[], joins: (p: TreePath, q: TreePath) => boolean): TreePath[][] {
  let components: TreePath[][] = [];
  for (const path of paths) {
    const joined = components.filter((names) => names.some((name) => joins(name, path)));
    components = [
      ...components.filter((names) => !joined.includes(names)),
      [...joined.flat(), path].sort(comparePaths),
    ];
  }
  return components;
}

function isChangedWithin(directory: TreePath, before: Model, after: Model): boolean {
  return [...new Set([...before.keys(), ...after.keys()])].some(
    (path) =>
      (path === directory || path.startsWith(`${directory}/`)) &&
      isTouched(before.get(path)?.node, after.get(path)?.node),
  );
}

function isTouched(base: Version, side: Version): boolean {
  const [a, b] = [base, side].map((node) => node && aspects(node));
  a?.delete("time");
  b?.delete("time");
  return JSON.stringify(a && [...a]) !== JSON.stringify(b && [...b]);
}

function mergeEntry(b: Version, o: Version, t: Version): Result {
  if (!isTouched(b, o)) return { node: b && o && t ? withTime(t, b, o, t, t) : t };
  if (!isTouched(b, t)) return { node: b && o && t ? withTime(o, b, o, t, o) : o };
  if (o === undefined || t === undefined) return o === t ? { node: undefined } : "conflict";
  if (o.type !== t.type) return "conflict";
  const [base, ours, theirs] = [b?.type === o.type ? aspects(b) : undefined, aspects(o), aspects(t)];
  const merged = new Map<string, string>();
  let isOurs = false;
  for (const name of new Set([...ours.keys(), ...theirs.keys()])) {
    if (name === "time" || name === "type") continue;
    const [x, y] = [ours.get(name), theirs.get(name)];
    const z = base === undefined && !name.startsWith("xattr ") ? Symbol("none") : base?.get(name);
    if (x !== y && x !== z && y !== z && name !== "sparse") return "conflict";
    const value = x === y || x === z ? y : y === z ? x : y;
    if (value !== undefined) merged.set(name, value);
    if (x !== y && value === x && (name === "data" || (name === "sparse" && ours.get("data") === theirs.get("data"))))
      isOurs = true;
  }
  const source = isOurs ? o : t;
  const xattrs = [...new Set([...o.xattrs, ...t.xattrs].map(({ name }) => name))].sort().flatMap((name) => {
    const hex = merged.get(`xattr ${name}`);
    return hex === undefined ? [] : [{ name, value: Buffer.from(hex, "hex") }];
  });
  const number = (name: string): number => Number(merged.get(name));
  const node = { ...source, mode: number("mode"), uid: number("uid"), gid: number("gid"), xattrs };
  return { node: b?.type === o.type ? withTime(node, b, o, t, source) : node };
}

function withTime(node: RawNode, b: RawNode, o: RawNode, t: RawNode, source: RawNode): RawNode {
  const time = (n: RawNode): string => aspects(n).get("time")!;
  const owner = time(o) === time(b) ? t : time(t) === time(b) ? o : source;
  return { ...node, mtimeSec: owner.mtimeSec, mtimeNsec: owner.mtimeNsec };
}

function aspects(node: RawNode): Map<string, string> {
  const data = node.type === "file" && "root" in node.content ? [node.content.root, node.content.size] : [];
  const own = "target" in node ? [node.target] : "major" in node ? [node.major, node.minor] : data;
  return new Map([
    ["type", node.type],
    ["data", JSON.stringify(own)],
    ["sparse", String(node.type === "file" && "sparse" in node.content && node.content.sparse)],
    ["mode", String(node.mode)],
    ["uid", String(node.uid)],
    ["gid", String(node.gid)],
    ["time", `${node.mtimeSec} ${node.mtimeNsec}`],
    ...node.xattrs.map(({ name, value }) => [`xattr ${name}`, Buffer.from(value).toString("hex")] as [string, string]),
  ]);
}
