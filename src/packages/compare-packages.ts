import { compareVersions } from "./compare-versions.ts";
import type { Database, Manager, Package } from "./database.ts";

export interface PackageChange {
  readonly manager: Manager;
  readonly name: string;
  /** `changed`: of the same version, but for another architecture. */
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
  joinRenamed(before, after);
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

/** A package that came to be for several architectures, or is no more, has another name: "foo:amd64" and "foo". */
function joinRenamed(before: Map<string, Package>, after: Map<string, Package>): void {
  for (const [name, found] of before) {
    if (after.has(name)) continue;
    const [plain = ""] = name.split(":");
    const other = name === plain ? `${name}:${found.architecture}` : plain;
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
  return compareVersions(manager, was, is) < 0 ? "upgraded" : "downgraded";
}
