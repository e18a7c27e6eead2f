import type { FilePath, PackageChange, PackageDiff } from "../index.ts";
import { count, table, visible, visibleName } from "./text.ts";

/** @param verbose with the files that are no package's */
export function* packageLines(found: PackageDiff, verbose: boolean): Generator<string> {
  const { managers, packages, conffiles, modified, unowned, differs } = found;
  if (managers.length === 0 && differs) yield "no package database on either side";
  yield* table(packages.map((change) => [visible(change.name), versionsOf(change), kindOf(change)]));
  for (const file of conffiles) yield `conffile ${nameOf(file)} ${file.kind} (${visible(file.package)})`;
  for (const file of modified) yield `file ${nameOf(file)} ${file.kind} (${visible(file.package)})`;
  if (unowned.length === 0) return;
  yield `${count(unowned.length, "changed file")} ${unowned.length === 1 ? "belongs" : "belong"} to no package`;
  if (verbose) for (const file of unowned) yield `  ${nameOf(file)}`;
}

function versionsOf({ before, after }: PackageChange): string {
  if (before === after) return visible(before ?? "");
  return visible([before, after].filter((version) => version !== null).join(" -> "));
}

function kindOf({ kind, before, after, configurationLeft }: PackageChange): string {
  if (kind === "changed") return before === after ? "other architecture" : kind;
  return configurationLeft ? `${kind}, configuration left` : kind;
}

function nameOf({ path, pathBase64 }: FilePath): string {
  return `/${visibleName(path, pathBase64)}`;
}
