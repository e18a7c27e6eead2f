import { spawnSync } from "node:child_process";
import { copyOfCheckout, whileBroken } from "../support/mutants.ts";
import type { Mutation } from "../support/mutants.ts";

/*
 * Takes the syncs away that the order of commits stands on, one by one in a copy of the checkout, and demands that the power-cut campaign
 * finds each:
 *
 *   npm run mutations:power
 */
const MUTATIONS: readonly (Mutation & { readonly verb: string })[] = [
  {
    rule: "what a name stands for is durable before the name: the barrier",
    file: "src/kv/kv.ts",
    text: "    await this.requireWritable();\n    await this.#barrier();\n",
    instead: "    await this.requireWritable();\n",
    verb: "import",
  },
  {
    rule: "a name is durable when a command returns",
    file: "src/containers/refs.ts",
    text: `    await this.#meta.write(operations, { sync: true });\n    this.#nextEntry++;`,
    instead: `    await this.#meta.write(operations);\n    this.#nextEntry++;`,
    verb: "snapshot",
  },
  {
    rule: "gc deletes what is in the index durably before the values that it leads to",
    file: "src/chunks/chunk-sweep.ts",
    text: "if (gone.length > 0) await parts.meta.barrier();",
    instead: "",
    verb: "gc",
  },
  {
    rule: "what was captured is on disk, too, where the next start mounts it",
    file: "src/lxc/upper.ts",
    text: "  syncFilesystem(parent);\n  return true;",
    instead: "  return true;",
    verb: "capture",
  },
  {
    rule: "a container's directory is durable before its record",
    file: "src/lxc/staging.ts",
    text: "  sync(): void {\n    syncFilesystem(this.directory);",
    instead: "  sync(): void {",
    verb: "clone",
  },
  {
    rule: "an export is durable before it has its name",
    file: "src/operations/export.ts",
    text: "    syncFilesystem(dirname(path));\n",
    instead: "",
    verb: "export",
  },
  {
    rule: "a shared export is durable before it has its name",
    file: "src/exports/shared-exports.ts",
    text: "      syncFilesystem(directory);\n      renameSync(target, home);",
    instead: "      renameSync(target, home);",
    verb: "pre-start",
  },
];

/** Of each. */
const CUTS = 24;

await using copy = await copyOfCheckout();
for (const mutation of MUTATIONS) {
  const found = await whileBroken(copy, mutation, () => failureOf(copy.path, mutation.verb));
  console.log(`${found === undefined ? "MISSED" : "caught"}: ${mutation.rule}\n${found ?? ""}`);
  if (found === undefined) process.exitCode = 1;
}

/** @returns what the campaign found; undefined if it passed */
function failureOf(directory: string, verb: string): string | undefined {
  const args = ["--cuts", String(CUTS), "--filesystem", "ext4", "--verb", verb];
  const { status, stderr } = spawnSync(process.execPath, ["--import", "tsx", "test/campaigns/power.ts", ...args], {
    cwd: directory,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  if (status === 0) return undefined;
  // Code that does not run at all would fail, too.
  const [found] = /\[cause\]: .*(CHUNK_MISSING|NODE_MISSING|AssertionError|StoreError).*/.exec(stderr) ?? [];
  if (found === undefined) throw new Error(`no damage, but it failed:\n${stderr}`);
  return found;
}
