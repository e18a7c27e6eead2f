import { compareVersions } from "./compare-versions.ts";
import type { Database, Manager, Package } from "./database.ts";

export interface PackageChange {
  readonly manager: Manager;
  readonly name: string;
  /** `changed`: of the same latest version, but for another architecture, or with others beside it than before. */
  readonly kind: "added" | "removed" | "upgraded" | "downgraded" | "changed";
  /** Versions; null where it is not installed. */
  readonly before: string | null;
  readonly after: string | null;
  /** Its configuration is still there. */
  readonly configurationLeft: boolean;
}

/** What became of packages, by manager and name. */
export function comparePackages(before: readonly Database[], after: readonly Database[]): PackageChange[] {
  const managers = [...new Set([...before, ...after].map(({ manager }) => manager))].sort();
  return managers.flatMap((manager) => {
    const of = (databases: readonly Database[]): Map<string, Package> =>
      new Map(databases.find((database) => database.manager === manager)?.packages);
    return compareOf(manager, of(before), of(after));
  });
}

function compareOf(manager: Manager, before: Map<string, Package>, after: Map<string, Package>): PackageChange[] {
  joinRenamed(before, after, manager === "rpm" ? "." : ":");
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name): PackageChange[] => {
    const [a, b] = [before.get(name), after.get(name)];
    const [was, is] = [versionOf(a), versionOf(b)];
    const kind = kindOf(manager, was, is) ?? (a?.architecture === b?.architecture ? undefined : "changed");
    if (kind === undefined || (was === null && is === null)) return [];
    const configurationLeft = is === null && b !== undefined;
    return [{ manager, name, kind, before: was, after: is, configurationLeft }];
  });
}

/** A package that came to be for several architectures, or is no more, has another name: "foo:amd64" and "foo", of rpm "foo.i686". */
function joinRenamed(before: Map<string, Package>, after: Map<string, Package>, separator: string): void {
  for (const [name, found] of before) {
    if (after.has(name)) continue;
    const suffix = `${separator}${found.architecture}`;
    const other = name.endsWith(suffix) ? name.slice(0, -suffix.length) : `${name}${suffix}`;
    const now = after.get(other);
    if (now === undefined || before.has(other)) continue;
    before.delete(name);
    before.set(other, found);
  }
}

function versionOf(found: Package | undefined): string | null {
  return found?.installed === true ? found.version : null;
}

function kindOf(manager: Manager, was: string | null, is: string | null): PackageChange["kind"] | undefined {
  if (was === is) return undefined;
  if (was === null) return "added";
  if (is === null) return "removed";
  const order = compareVersions(manager, was, is);
  return order < 0 ? "upgraded" : order > 0 ? "downgraded" : "changed";
}
