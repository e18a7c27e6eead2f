import assert from "node:assert/strict";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { preStart, show } from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { getValue, readConfig } from "../../src/lxc/config-file.ts";
import type { TestStore } from "../support/store.ts";
import { openTestStore } from "../support/store.ts";

export interface TestHost extends TestStore {
  /** A directory to import: `etc/hosts`, `etc/link` to it, `bin/tool` twice, `empty`. */
  readonly source: string;
  /** An empty directory for containers. */
  readonly lxcPath: string;
}

/** A store, something to import, and an LXC path; LXC itself is not needed. */
export async function openTestHost(): Promise<TestHost> {
  const at = await openTestStore();
  const [source, lxcPath] = [`${at.path}/source`, `${at.path}/lxc`];
  for (const directory of ["etc", "bin", "empty"]) mkdirSync(`${source}/${directory}`, { recursive: true });
  writeFileSync(`${source}/etc/hosts`, "127.0.0.1 localhost\n");
  symlinkSync("hosts", `${source}/etc/link`);
  writeFileSync(`${source}/bin/tool`, Buffer.alloc(300_000, "tool"), { mode: 0o755 });
  mkdirSync(lxcPath);
  return { ...at, source, lxcPath };
}

/** Containers that this user can start, root or not: their overlays are mounted with userxattr. */
export const FOR_ANYBODY = { settings: ["lxc.rootfs.options=userxattr"] } as const;

/** Does what a start and a stop without hooks would: the upper has what `change` does in it, and is not captured. */
export async function runContainer(context: Context, name: string, change: (upper: string) => void): Promise<void> {
  await startContainer(context, name);
  const directory = await directoryOf(context, name);
  mkdirSync(`${directory}/work`);
  change(`${directory}/delta0`);
}

/** The pre-start hook, as LXC calls it. */
export async function startContainer(context: Context, name: string): Promise<void> {
  const { container } = await show(context, { ref: name });
  assert.ok(container);
  const directory = await directoryOf(context, name);
  const configFile = `${directory}/config`;
  await preStart(context, { configFile, rootfsPath: getValue(readConfig(configFile), "lxc.rootfs.path") ?? "" });
}

async function directoryOf(context: Context, name: string): Promise<string> {
  const { container } = await show(context, { ref: name });
  assert.ok(container?.lxcDirectory);
  return container.lxcDirectory;
}

/** Fails unless the store and the directories hold nothing that is on its way into being. */
export function assertNothingHalfMade({ store }: Pick<TestStore, "store">, ...directories: readonly string[]): void {
  assert.deepEqual(readdirSync(store.paths.staging), []);
  for (const directory of [store.paths.privateExports, ...directories])
    assert.deepEqual(
      readdirSync(directory).filter(
        (name) => name.startsWith(".") || name.includes("partial") || name.endsWith(".tmp"),
      ),
      [],
      directory,
    );
}
