import { resolve } from "node:path";

/** Where each part of a store lies. docs/format.md, "Directory". */
export class StorePaths {
  /** Absolute. */
  readonly directory: string;

  constructor(directory: string) {
    this.directory = resolve(directory);
  }

  /** Says that this is a store, and of which format; the last file that `init` makes. */
  get format(): string {
    return `${this.directory}/format`;
  }
  /** There while `init` is at work: what is found beside it without `format` is nobody's. */
  get initialising(): string {
    return `${this.directory}/initialising`;
  }
  /** Locked by the process that has the store open. */
  get lock(): string {
    return `${this.directory}/lock`;
  }
  /** Who that is, for people. */
  get owner(): string {
    return `${this.directory}/owner.json`;
  }
  /** Room that is given up once the disk is full. */
  get reserve(): string {
    return `${this.directory}/reserve`;
  }
  /** For what only the store's user may look into. */
  get private(): string {
    return `${this.directory}/private`;
  }
  /** Where the process that has the store open is asked to do something in it. */
  get socket(): string {
    return `${this.private}/host.sock`;
  }
  get meta(): string {
    return `${this.directory}/meta`;
  }
  get chunks(): string {
    return `${this.directory}/chunks`;
  }
  /** What containers changed that is in no tree yet. Made when it is first needed. */
  get uppers(): string {
    return `${this.directory}/uppers`;
  }
  /** Where exports are looked at: a read-only bind mount of `privateExports`, or without privileges a symlink to it. */
  get exports(): string {
    return `${this.directory}/exports`;
  }
  /** The exports, by tree digest. Hidden names are of unfinished ones; whoever opens the store removes them. */
  get privateExports(): string {
    return `${this.directory}/private/exports`;
  }
  /** As `exports`, those for id maps: `<map>/<tree>`. Made when one is first needed. */
  get mapped(): string {
    return `${this.directory}/mapped`;
  }
  get privateMapped(): string {
    return `${this.directory}/private/mapped`;
  }
  get manifests(): string {
    return `${this.directory}/private/manifests`;
  }
  /** One symlink per staging directory of an LXC path, while it is in use. */
  get staging(): string {
    return `${this.directory}/private/staging`;
  }
  /** What directories held when they were imported: a hint, a file for each. Made when it is first needed. */
  get knownFiles(): string {
    return `${this.directory}/private/known-files`;
  }
  /** One symlink per unfinished export or copy outside of the store. Made when it is first needed. */
  get partials(): string {
    return `${this.directory}/private/partials`;
  }
  /** Held by whoever mounts `exports`: two mounts would lie one over the other. */
  get mountLock(): string {
    return `${this.directory}/lxc/mount.lock`;
  }
  /** The hook scripts and the config file that containers include. */
  get lxc(): string {
    return `${this.directory}/lxc`;
  }
}
