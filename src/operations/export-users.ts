import { readdirSync } from "node:fs";
import type { Ref } from "../containers/records.ts";
import type { StoreError } from "../errors.ts";
import type { ExportKey } from "../exports/export-key.ts";
import { mountedOverlays } from "../sys/mounts.ts";
import type { Context } from "./context.ts";
import { exportsNamedIn, foreignContainers, namesIn } from "./foreign.ts";
import { directoryOf } from "./lxc-host.ts";

/** Who stands on which of the shared exports. */
export class ExportUsers {
  readonly #context: Context;
  readonly #names = new Map<ExportKey, string[]>();
  readonly #overlays = mountedOverlays();

  private constructor(context: Context) {
    this.#context = context;
  }

  /**
   * As all LXC configs have it at this moment: those of the store's containers, also of such as are being made, and of others that stand
   * on its exports.
   *
   * @throws {StoreError} FORMAT_INVALID if a record is damaged: such a container may use any export
   */
  static async find(context: Context): Promise<ExportUsers> {
    const { store } = context;
    const users = new ExportUsers(context);
    const refs: [name: string, ref: Ref][] = [];
    for (const [name, ref] of await store.refs.list(raise)) {
      refs.push([name, ref]);
      const directory = ref.type === "container" ? directoryOf(name, ref) : undefined;
      if (directory !== undefined) users.#add(name, exportsNamedIn(store, `${directory}/config`));
    }
    for (const { name, lowers } of foreignContainers(store, refs)) users.#add(name, lowers);
    for (const id of readdirSync(store.paths.staging)) {
      const staged = `${store.paths.staging}/${id}`;
      for (const name of namesIn(staged)) users.#add(name, exportsNamedIn(store, `${staged}/${name}/config`));
    }
    return users;
  }

  #add(name: string, keys: readonly ExportKey[]): void {
    for (const key of new Set(keys)) {
      const names = this.#names.get(key);
      if (names === undefined) this.#names.set(key, [name]);
      else names.push(name);
    }
  }

  /** Those that configs name, made or not. */
  keys(): Iterable<ExportKey> {
    return this.#names.keys();
  }

  /** The containers whose configs name it. */
  of(key: ExportKey): readonly string[] {
    return this.#names.get(key) ?? [];
  }

  /** An overlay stands on it now. */
  isMounted(key: ExportKey): boolean {
    return this.#overlays.hasLower(this.#context.store.exports.path(key));
  }

  isUsed(key: ExportKey): boolean {
    return this.#names.has(key) || this.isMounted(key);
  }
}

function raise(_name: string, error: StoreError): never {
  throw error;
}
