import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { Kv } from "../../src/kv/kv.ts";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { libc } from "../../src/sys/libc.ts";

/** What is thrown where a kill would be. */
class Killed extends Error {
  override readonly name = "Killed";
}

type Methods = Record<string, (...args: unknown[]) => unknown>;

/** All that changes names or bytes on the host, and databases. */
const CHANGES: readonly Hooked[] = [
  [
    fs as unknown as Methods,
    ["mkdirSync", "symlinkSync", "writeFileSync", "writeSync", "unlinkSync", "rmSync", "rmdirSync", "renameSync"],
  ],
  [
    DirectoryHandle.prototype as unknown as Methods,
    ["create", "makeDirectory", "symlink", "link", "makeNode", "rename", "unlink", "removeDirectory", "removeTree"],
  ],
  [Kv.prototype as unknown as Methods, ["write"]],
];

/** All that makes such changes safe from a power cut. */
const SYNCS = (): readonly Hooked[] => [
  [fs as unknown as Methods, ["fsyncSync"]],
  [libc() as unknown as Methods, ["fsync", "syncfs"]],
  [Kv.prototype as unknown as Methods, ["barrier", "compact"]],
];

type Hooked = readonly [owner: Methods, names: readonly string[]];

/**
 * Has `onStep` called before each step that this process does from now on.
 *
 * @param options.syncs before those that only sync, too
 */
export function beforeEachStep(
  onStep: (name: string, args: readonly unknown[]) => void,
  { syncs = false }: { readonly syncs?: boolean } = {},
): Disposable {
  const originals: (() => void)[] = [];
  for (const [owner, names] of [...CHANGES, ...(syncs ? SYNCS() : [])]) {
    for (const name of names) {
      const original = owner[name];
      if (original === undefined) throw new Error(`there is no ${name} to break`);
      owner[name] = function (this: unknown, ...args: unknown[]): unknown {
        onStep(name, args);
        return original.apply(this, args);
      };
      originals.push(() => (owner[name] = original));
    }
  }
  syncBuiltinESMExports();
  return {
    [Symbol.dispose]: () => {
      for (const restore of originals) restore();
      syncBuiltinESMExports();
    },
  };
}

/**
 * Does `work` up to its step `last`, and nothing after that: as by a kill, no cleaning up changes anything either.
 *
 * @returns false if it came to its end before that
 */
export async function upToStep(last: number, work: () => Promise<unknown>): Promise<boolean> {
  let steps = 0;
  using _steps = beforeEachStep((name) => {
    if (++steps > last) throw new Killed(`killed before ${name}`);
  });
  try {
    await work();
  } catch (error) {
    // Whatever became of it on its way: after the kill nobody sees it.
    if (steps <= last) throw error;
  }
  return steps > last;
}
