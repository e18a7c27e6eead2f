import { StoreError } from "../errors.ts";
import type { PackageFiles } from "./package-files.ts";

const DIRECTORIES = ["var/lib/rpm", "usr/lib/sysimage/rpm"] as const;
/** Of SQLite, Berkeley DB and rpm's own format. */
const FILES = ["rpmdb.sqlite", "Packages", "Packages.db"] as const;

/** @throws {StoreError} UNSUPPORTED if there is a database of rpm */
export function refuseRpm(files: PackageFiles): void {
  for (const directory of DIRECTORIES)
    for (const name of FILES) {
      const path = `${directory}/${name}`;
      if (files.open(path) === undefined) continue;
      throw new StoreError("UNSUPPORTED", {
        what: `rpm's database is not read yet (${path})`,
        hint: `get its directory out (delta0 get REF:/${directory} DIR) and ask rpm --dbpath DIR -qa`,
      });
    }
}
