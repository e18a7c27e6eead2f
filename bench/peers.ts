/** Tools that keep trees, and how each is told to: apt-get install borgbackup restic casync ostree rsync. */
import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { rootfsTar } from "../test/support/rootfs.ts";
import type { RootfsName } from "../test/support/rootfs.ts";
import { run } from "../test/support/run.ts";
import { measure } from "./support.ts";
import type { Measured } from "./support.ts";

/** 41 800 entries, 1.06 GB; the last has 5.5k. */
export const ROOTS: readonly RootfsName[] = ["bookworm-minbase", "bookworm", "bookworm-large", "trixie"];

/** Commands of a shell, in which `$root` is a source or new directory, `$n` its number, `$store` a place for the tool. */
export interface Peer {
  readonly name: string;
  readonly program: string;
  readonly make?: string;
  readonly put: string;
  readonly get: string;
  /** Takes away what `put` made of `$n` in `$round`, and all that nothing else needs. */
  readonly remove: string;
  /** Reads and proves all that is stored. */
  readonly check?: string;
}

const BORG = {
  program: "borg",
  make: "borg init -e none $store",
  get: "mkdir $root && cd $root && borg extract $store::$n-0",
  remove: "borg delete $store::$n-$round && borg compact $store",
  check: "borg check --verify-data $store",
};

export const CASYNC: Peer = {
  name: "casync",
  program: "casync",
  make: "mkdir $store",
  put: "casync make --with=best --store=$store/chunks $store/$n-$round.caidx $root",
  get: "casync extract --store=$store/chunks $store/$n-0.caidx $root",
  remove: "rm $store/$n-$round.caidx && casync gc --store=$store/chunks $store/*.caidx",
};

/** Stores that share what is the same, and below them what only copies. */
export const PEERS: readonly Peer[] = [
  {
    ...BORG,
    name: "borg zstd,3",
    put: "cd $root && borg create --compression zstd,3 $store::$n-$round .",
  },
  {
    ...BORG,
    name: "borg lz4",
    put: "cd $root && borg create --compression lz4 $store::$n-$round .",
  },
  {
    name: "restic",
    program: "restic",
    make: "restic init -r $store",
    put: "cd $root && restic backup -r $store --tag $n .",
    get: "restic restore -r $store --tag $n --target $root latest",
    remove: "restic forget -r $store --tag $n --prune latest",
    check: "restic check -r $store --read-data",
  },
  CASYNC,
  {
    name: "ostree, without devices and the like",
    program: "ostree",
    make: "mkdir $store && ostree init --mode=bare --repo=$store && cp -a $base $HOME/plain && find $HOME/plain -type b,c,p,s -delete",
    put: "ostree commit --repo=$store -b n$n --tree=dir=$HOME/plain/$n",
    get: "ostree checkout -C --repo=$store n$n $root",
    remove: "ostree refs --repo=$store --delete n$n && ostree prune --repo=$store --refs-only",
    check: "ostree fsck --repo=$store",
  },
  {
    name: "cp -a",
    program: "cp",
    make: "mkdir $store",
    put: "cp -a $root $store/$n-$round",
    get: "cp -a $store/$n-0 $root",
    remove: "rm -r $store/$n-$round",
  },
  {
    name: "tar",
    program: "tar",
    make: "mkdir $store",
    put: "tar --xattrs --acls -cf $store/$n-$round.tar -C $root .",
    get: "mkdir $root && tar --xattrs --xattrs-include='*' --numeric-owner -xpf $store/$n-0.tar -C $root",
    remove: "rm $store/$n-$round.tar",
  },
];

/** Roots by their numbers, below `base`. */
export async function unpackRoots(base: string, names: readonly RootfsName[] = ROOTS): Promise<string[]> {
  const roots: string[] = [];
  for (const [i, name] of names.entries()) {
    const root = `${base}/${i}`;
    mkdirSync(root, { recursive: true });
    await run("tar", ["-xpf", await rootfsTar(name), "-C", root, "--xattrs", "--xattrs-include=*", "--numeric-owner"]);
    roots.push(root);
  }
  return roots;
}

/** Where a tool keeps things: `$store`, and `$HOME`. */
export interface PeerPlace {
  readonly store: string;
  readonly home: string;
}

/** A new place below `directory`. What was there before is gone. */
export function peerPlace(directory: string): PeerPlace {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(`${directory}/home`, { recursive: true });
  return { store: `${directory}/store`, home: `${directory}/home` };
}

/** Runs one of a peer's commands. */
export function tell(
  command: string,
  { store, home }: PeerPlace,
  { root, n = 0, round = 0 }: { readonly root: string; readonly n?: number; readonly round?: number },
): Measured {
  const names = { HOME: home, base: dirname(root), store, root, n, round };
  const values = Object.entries(names).map(([name, value]) => `${name}=${value}`);
  return measure("env", [...ENVIRONMENT, ...values, "sh", "-c", command]);
}

/** That of tools that would ask, or keep things elsewhere. */
const ENVIRONMENT: readonly string[] = [
  "RESTIC_PASSWORD=bench",
  "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes",
  "BORG_RELOCATED_REPO_ACCESS_IS_OK=yes",
];
