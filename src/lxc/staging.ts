import { mkdirSync, readdirSync, readlinkSync, symlinkSync, unlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { errnoOf, isStoreError, StoreError } from "../errors.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { syncFilesystem, syncPath } from "../sys/durable.ts";
import { makeDirectories } from "../sys/make-directories.ts";
import { randomBytes } from "../sys/random.ts";
import { renamedConfig } from "./clone-config.ts";
import { type ConfigFile, readConfig, writeConfig } from "./config-file.ts";
import { exists, moved } from "./move.ts";
import { OLD, supplant } from "./supplant.ts";

/** What the store knows, asked when a staging ends: by then the record is there, or it will never be. */
export interface KnownContainers {
  /** True for a container of that name whose LXC directory is below `lxcPath`, and which has come to that generation; default: any. */
  has(name: string, lxcPath: string, generation?: number): boolean;
}

/**
 * A hidden directory in an LXC path, in which containers' directories are on their way into being, out of it, or to
 * another name, while the store's record of that is written. The order is: `begin`, make or take away, `sync`, the
 * record, `publish`, dispose.
 *
 * Wherever that ends, by an error or a kill, the store's record says what becomes of what is left in it: disposal and
 * `recoverStagings` bring each directory to the place where the store has it, and delete what the store does not have.
 */
export class Staging implements Disposable {
  /** Where directories are made, each by its final name. */
  readonly directory: string;
  readonly #registration: string;
  readonly #known: KnownContainers;

  private constructor(directory: string, registration: string, known: KnownContainers) {
    this.directory = directory;
    this.#registration = registration;
    this.#known = known;
  }

  /** @param registry the store's directory of symlinks to stagings, one each */
  static begin(registry: string, lxcPath: string, known: KnownContainers): Staging {
    const id = randomBytes(8).toString("hex");
    const directory = `${lxcPath}/${PREFIX}${id}`;
    const registration = `${registry}/${id}`;
    makeDirectories(lxcPath);
    // Before there is anything in it that could be lost sight of.
    symlinkSync(directory, registration);
    syncPath(registry);
    mkdirSync(directory, { mode: 0o700 });
    return new Staging(directory, registration, known);
  }

  /**
   * Says that another container is about to have a name that the store has already: what is made or moved here for NAME is the new
   * one's once the store's record has come to that generation. Until then the old one's directory belongs where it was. To be called
   * before that is taken away.
   */
  supersede(name: string, generation: number): void {
    symlinkSync(String(generation), `${this.directory}/${SINCE}${name}`);
    syncPath(this.directory);
  }

  /**
   * Moves LXCPATH/NAME here, to be deleted once the store has no such container, or another one.
   *
   * @returns false if it is not there
   */
  takeAway(name: string): boolean {
    const isSuperseded = exists(`${this.directory}/${SINCE}${name}`);
    return moved(dirname(this.directory), name, this.directory, isSuperseded ? `${GONE}${name}` : name);
  }

  /**
   * Moves LXCPATH/NAME here, to be published by another name.
   *
   * @returns false if it is not there
   * @throws {StoreError} USAGE, REFUSED if its config cannot hold the new paths, or LXC could not mount them
   */
  takeAwayAs(name: string, newName: string): boolean {
    const lxcPath = dirname(this.directory);
    if (!exists(`${lxcPath}/${name}`)) return false;
    // The config is rewritten when it is published; now is the time to find that it cannot be.
    configUnder(`${lxcPath}/${name}`, lxcPath, name, newName);
    symlinkSync(name, markOf(this.directory, newName));
    syncPath(this.directory);
    return moved(lxcPath, name, this.directory, newName);
  }

  /**
   * Moves LXCPATH/NAME here, for what was made here by that name to take its place, and with it what of the old directory is no
   * root filesystem (`supplant`); the rest is deleted. If the store will have no such container, it goes back.
   *
   * @returns where it is meanwhile
   * @throws {StoreError} NOT_FOUND
   */
  takeAwayForNew(name: string): string {
    const old = `${OLD}${name}`;
    if (moved(dirname(this.directory), name, this.directory, old)) return `${this.directory}/${old}`;
    throw new StoreError("NOT_FOUND", { what: `${dirname(this.directory)}/${name} went away` });
  }

  /** Makes all that was made and moved so far safe from a power cut. To be called before the store's record. */
  sync(): void {
    syncFilesystem(this.directory);
  }

  /** Puts NAME in place as LXCPATH/NAME. @throws {StoreError} EXISTS: it never replaces anything */
  publish(name: string): void {
    publish(this.directory, name);
  }

  /** As the store has it by now, see above. What cannot get to its place is left to `recoverStagings`. */
  [Symbol.dispose](): void {
    if (!exists(this.#registration)) return;
    try {
      settle(this.#registration, this.#known);
    } catch (error) {
      // `publish` has said so, or the next opening of the store will.
      if (!isStoreError(error, "EXISTS")) throw error;
    }
  }
}

/** A staging whose content could not be brought to its place: it stays registered, for the next try. */
export interface StuckStaging {
  readonly directory: string;
  readonly error: unknown;
}

/** Ends what killed processes have left. One that fails does not stop the others. */
export function recoverStagings(registry: string, known: KnownContainers): StuckStaging[] {
  const stuck: StuckStaging[] = [];
  for (const id of readdirSync(registry)) {
    try {
      settle(`${registry}/${id}`, known);
    } catch (error) {
      stuck.push({ directory: readlinkSync(`${registry}/${id}`), error });
    }
  }
  return stuck;
}

const PREFIX = ".delta0-";
/** A symlink of this name before NAME has as target the name that NAME had before. Containers' names have no leading dot. */
const WAS = ".was-";
/** A symlink of this name before NAME has as target the generation from which on NAME is the container that is in the staging. */
const SINCE = ".since-";
/** Before NAME: the directory of the container that had that name until then. */
const GONE = ".gone-";

function settle(registration: string, known: KnownContainers): void {
  const directory = readlinkSync(registration);
  const lxcPath = dirname(directory);
  if (!basename(directory).startsWith(PREFIX)) throw new Error(`${registration} leads to ${directory}`);
  // A filesystem that is not mounted now may be so at the next try.
  if (!exists(lxcPath)) throw new StoreError("NOT_FOUND", { what: `${lxcPath} is not there` });
  if (exists(directory)) {
    for (const name of namesIn(directory)) settleOne(directory, name, known);
    syncPath(lxcPath);
    remove(lxcPath, basename(directory));
    syncPath(lxcPath);
  }
  unlinkSync(registration);
  syncPath(dirname(registration));
}

/** Of the containers that are in it, by the names that they are to have, and of those whose place they take. */
function namesIn(directory: string): ReadonlySet<string> {
  const names = readdirSync(directory).filter((name) => !name.startsWith(WAS) && !name.startsWith(SINCE));
  return new Set(names.map((name) => name.slice([OLD, GONE].find((prefix) => name.startsWith(prefix))?.length ?? 0)));
}

function settleOne(directory: string, name: string, known: KnownContainers): void {
  const lxcPath = dirname(directory);
  const since = linkTarget(`${directory}/${SINCE}${name}`);
  if (known.has(name, lxcPath, Number(since ?? 0))) {
    // Of two by one name, the new one may be in its place already, or have no directory.
    if (since === undefined || exists(`${directory}/${name}`)) publish(directory, name);
    return;
  }
  moved(directory, `${GONE}${name}`, lxcPath, name);
  // What was to take its place goes with the staging.
  if (moved(directory, `${OLD}${name}`, lxcPath, name)) return;
  const oldName = nameBefore(directory, name);
  if (oldName === undefined) return;
  // It still holds the old config: that is rewritten only once the store knows the new name.
  if (!moved(directory, name, lxcPath, oldName)) throw new Error(`${directory}/${name} went away`);
}

function publish(directory: string, name: string): void {
  const lxcPath = dirname(directory);
  if (exists(`${directory}/${OLD}${name}`)) return supplant(directory, name);
  const oldName = nameBefore(directory, name);
  if (oldName !== undefined && !exists(`${lxcPath}/${name}`)) {
    writeConfig(`${directory}/${name}/config`, configUnder(`${directory}/${name}`, lxcPath, oldName, name));
  }
  if (!moved(directory, name, lxcPath, name)) throw new Error(`${directory}/${name} is not there`);
  if (oldName !== undefined) unlinkSync(markOf(directory, name));
}

/** The config in `directory`, of a container that changes its name. It may have been changed already. */
function configUnder(directory: string, lxcPath: string, oldName: string, newName: string): ConfigFile {
  return renamedConfig(readConfig(`${directory}/config`), {
    originalName: oldName,
    originalDirectory: `${lxcPath}/${oldName}`,
    name: newName,
    directory: `${lxcPath}/${newName}`,
  });
}

function nameBefore(directory: string, name: string): string | undefined {
  return linkTarget(markOf(directory, name));
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function markOf(directory: string, name: string): string {
  return `${directory}/${WAS}${name}`;
}

function remove(parent: string, name: string): void {
  using handle = DirectoryHandle.open(parent);
  handle.removeTree(name);
}
