import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { diffTrees } from "../../src/trees/diff.ts";
import { importLayer, list, type ListItem, remove, show, Store } from "../../src/index.ts";
import { readContainerDirectory } from "../../src/lxc/container-directory.ts";
import { requireRoot } from "../support/requirements.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** More of them: DELTA0_KILLS=2000 npm run test:crash */
const KILLS = Number(process.env["DELTA0_KILLS"] ?? 60);
const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));

const VERBS = [
  ...["import", "clone", "export", "capture", "commit", "create", "start", "rename", "rm"],
  ...["snapshot", "rollback", "reset", "gc"],
];
const MAX_WORK_MS = 2500;
const MAX_DELAY_MS = 250;

interface Line {
  readonly at: "begin" | "done";
  readonly verb: string;
  readonly names: readonly string[];
  readonly digest?: string;
}

test(`crash: after each of ${KILLS} SIGKILLs the store opens, and all that was acknowledged is there and whole`, async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  const at = new Site(directory.path);
  /** What each name stands for; null for one that is gone. */
  const known = new Map<string, string | null>();
  const verbs = new Map<string, number>();
  for (let kill = 1; kill <= KILLS; kill++) {
    const lines = await at.workUntilKilled(kill);
    const cut = lines.at(-1)?.at === "begin" ? lines.at(-1) : undefined;
    if (cut) verbs.set(cut.verb, (verbs.get(cut.verb) ?? 0) + 1);
    for (const line of lines) if (line.at === "done") note(known, line);
    await at.check(known, cut);
  }
  const cuts = Array.from(verbs, ([verb, count]) => `${verb} ${count}`).join(", ");
  t.diagnostic(`killed inside: ${cuts}; elsewhere ${KILLS - [...verbs.values()].reduce((a, b) => a + b, 0)}`);
});

function note(known: Map<string, string | null>, { verb, names, digest = "" }: Line): void {
  if (verb === "export") return;
  const [from = "", to = ""] = names;
  for (const [name, snapshot] of snapshotsIn(known, from)) {
    if (verb === "rename") known.set(`${to}@${snapshot}`, known.get(name) ?? null);
    if (verb === "rename" || verb === "rm") known.set(name, null);
  }
  for (const name of names) known.set(name, verb === "rm" ? null : digest);
  if (verb === "rename") known.set(from, null);
}

function snapshotsIn(known: ReadonlyMap<string, string | null>, container: string): [name: string, snapshot: string][] {
  const prefix = `${container}@`;
  const names = [...known.keys()].filter((name) => name.startsWith(prefix) && known.get(name) !== null);
  return names.map((name) => [name, name.slice(prefix.length)]);
}

/** A store, an LXC path, a directory to import and one for exports, all below `path`. */
class Site {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    for (const name of ["lxc", "source", "scratch"]) mkdirSync(`${path}/${name}`);
    for (let i = 0; i < 40; i++) {
      mkdirSync(`${path}/source/d${i}`);
      for (let j = 0; j < 8; j++) writeFileSync(`${path}/source/d${i}/f${j}`, randomBytes(500 * (j + 1)));
      symlinkSync("f1", `${path}/source/d${i}/link`);
    }
  }

  /** Kills the worker some time after it begins with what is this kill's turn: each verb gets its share. */
  async workUntilKilled(seed: number): Promise<Line[]> {
    const verb = VERBS[seed % VERBS.length] ?? "";
    const { lxc, source, scratch, store } = this.#paths();
    const args = ["--import", "tsx", WORKER, store, lxc, source, scratch, String(seed)];
    const worker = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    const begun = new Promise<void>((resolve) => {
      worker.stdout.on("data", (bytes: Buffer) => {
        text += bytes.toString();
        if (text.includes(`"begin","verb":"${verb}"`)) resolve();
      });
    });
    await Promise.race([begun, once(worker, "close"), sleep(MAX_WORK_MS)]);
    // Mostly soon: the steps of a command are milliseconds apart, but for those that read and write.
    await sleep(Math.random() ** 3 * MAX_DELAY_MS);
    assert.equal(worker.exitCode, null, `the worker failed; it said ${text}`);
    worker.kill("SIGKILL");
    await once(worker, "close");
    const lines = text.split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Line);
  }

  /** @param cut what was under way when the kill came: it may have happened or not, but nothing in between */
  async check(known: Map<string, string | null>, cut: Line | undefined): Promise<void> {
    const { lxc, store: storePath } = this.#paths();
    await using store = await Store.open(storePath, { command: "check" });
    const context = { store, command: "check", onWarning: (warning: string) => assert.fail(warning) };
    const items = await list(context);
    const present = new Map<string, Pick<ListItem, "name" | "digest">>(items.map((item) => [item.name, item]));
    for (const item of items)
      for (const key of item.snapshots) {
        const name = `${item.name}@${key}`;
        present.set(name, { name, digest: (await show(context, { ref: name })).digest });
      }
    const unsure = new Set(cut?.names);
    if (cut?.verb === "rename" || cut?.verb === "rm")
      for (const name of [...known.keys(), ...present.keys()])
        if (unsure.has(name.split("@", 1)[0] ?? "")) unsure.add(name);
    for (const [name, digest] of known) {
      if (unsure.has(name)) continue;
      assert.equal(present.get(name)?.digest ?? null, digest, name);
    }
    for (const name of present.keys())
      assert.ok(known.get(name) != null || unsure.has(name), `${name} came from nowhere`);
    if (cut?.verb === "rename") {
      const there = new Set([...present.keys()].map((name) => name.split("@", 1)[0] ?? ""));
      assert.equal(cut.names.filter((name) => there.has(name)).length, 1, "renamed by half");
    }
    if (cut?.verb === "clone") {
      const made = cut.names.filter((name) => present.has(name)).length;
      assert.ok(made === 0 || made === cut.names.length, "cloned by half");
    }
    for (const item of present.values()) {
      verify(store, item);
      known.set(item.name, item.digest);
    }
    for (const name of unsure) if (!present.has(name) && known.has(name)) known.set(name, null);
    this.#checkDirectories(items, lxc);
    // Made anew as a tree, it is the tree that it says: an unfinished export is no export.
    for (const key of store.exports.keys()) assert.equal(await treeIn(context, store.exports.path(key)), key);
    const target = cut?.verb === "export" ? (cut.names[0] ?? "") : "";
    if (existsSync(target)) {
      const digest = await treeIn(context, target);
      assert.ok(
        items.some((item) => item.digest === digest),
        `${target} is half an export`,
      );
    }
  }

  #checkDirectories(items: readonly ListItem[], lxc: string): void {
    const expected = items.filter(({ type }) => type === "container").map(({ name }) => name);
    assert.deepEqual(readdirSync(lxc).sort(), expected.sort());
    for (const name of expected) {
      const found = readContainerDirectory(`${lxc}/${name}`);
      assert.equal(found.type, "container", name);
      assert.ok(found.hasUpper || found.pendingGeneration !== undefined, `${name} has lost its delta`);
      assert.ok(found.rootfs.upper.startsWith(`${lxc}/${name}/`), `${name} has the upper of another`);
    }
  }

  #paths(): { store: string; lxc: string; source: string; scratch: string } {
    const at = (name: string): string => `${this.#path}/${name}`;
    return { store: at("store"), lxc: at("lxc"), source: at("source"), scratch: at("scratch") };
  }
}

async function treeIn(context: { store: Store; command: string }, source: string): Promise<string> {
  const { digest } = await importLayer(context, { source, name: "check" });
  await remove(context, { names: ["check"] });
  return digest;
}

/** Reads each node and each chunk. */
function verify({ trees, content }: Store, { name, digest }: Pick<ListItem, "name" | "digest">): void {
  assert.ok(digest !== null, name);
  for (const { after } of diffTrees(trees, undefined, trees.tree(digest))) {
    if (after?.type !== "file") continue;
    let size = 0;
    for (const piece of content.pieces(after.content)) size += typeof piece === "number" ? piece : piece.length;
    assert.equal(size, after.content.size);
  }
}
