import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import {
  capture,
  clone,
  commit,
  configure,
  create,
  gc,
  identity,
  importLayer,
  pin,
  postStop,
  preStart,
  putAway,
  rebase,
  remove,
  rename,
  repairContainer,
  reset,
  retain,
  rollback,
  show,
  snapshot,
  squash,
  Store,
  tag,
  undo,
} from "../../src/index.ts";
import { getValue, readConfig } from "../../src/lxc/config-file.ts";
import type { Hand } from "./cut-hand.ts";
import type { Meaning } from "./cut-model.ts";

/** A command of some kind, with what it works on drawn at random; what it needs is made before, by other commands. */
export type Command = (hand: Hand) => Promise<void>;

/** Those that change what names stand for, and what is behind them. */
export const NAME_COMMANDS: Readonly<Record<string, Command>> = {
  import: (hand) => importDirectory(hand, hand.newName("l"), false),
  "import --replace": async (hand) => importDirectory(hand, await aLayer(hand), true),
  "import of a tar": importTar,
  create: async (hand) => {
    await createOf(hand, await aLayer(hand), "c");
  },
  "create --no-lxc": async (hand) => {
    await createOf(hand, await aLayer(hand), "p");
  },
  "create of a directory": createOfDirectory,
  clone: cloneSome,
  "clone of a snapshot": async (hand) => {
    const [container, key] = await aSnapshot(hand);
    const ref = `${container}@${key}`;
    const name = hand.newName("c");
    await hand.does({ verb: "clone of a snapshot", names: { [name]: hand.digest(ref) } }, async () => {
      await clone(hand.context, { ref, names: [name], lxcPath: hand.places.lxc });
    });
  },
  "clone --copy": copySome,
  capture: captureSome,
  "post-stop": postStopSome,
  "pre-start": async (hand) => started(hand, await createOf(hand, await createdLayer(hand), "c")),
  commit: async (hand) => {
    await commitSome(hand);
  },
  snapshot: async (hand) => {
    await snapshotOf(hand, await aContainer(hand));
  },
  rollback: rollbackSome,
  reset: resetSome,
  rename: async (hand) => renameOne(hand, await aContainer(hand), hand.newName("c")),
  "rename of a layer": async (hand) => renameOne(hand, await aLayer(hand), hand.newName("l")),
  rm: async (hand) => removeAll(hand, [await aContainer(hand)], false),
  "rm of a layer": async (hand) => removeAll(hand, [await createdLayer(hand)], false),
  "rm --now": async (hand) => removeAll(hand, [await aContainer(hand)], true),
  tag: tagSome,
  pin: pinSome,
  undo: undoSome,
  gc: async (hand) => {
    await removeAll(hand, [await createdLayer(hand)], true);
    await removeAll(hand, [await createdLayer(hand)], false);
    await hand.does({ verb: "gc" }, async () => {
      await gc(hand.context, { grace: "0" });
    });
  },
  retain: retainSome,
  squash: squashSome,
  rebase: rebaseSome,
  "put-away": (hand) =>
    hand.does({ verb: "put-away" }, async () => {
      await putAway(hand.context);
    }),
  identity: async (hand) => {
    const name = await aContainer(hand);
    await hand.does({ verb: "identity", names: { [name]: hand.digest(name) } }, async () => {
      await identity(hand.context, { name });
    });
  },
  "lxc repair": async (hand) => {
    const name = await aContainer(hand);
    await started(hand, name);
    await hand.does({ verb: "lxc repair" }, async () => {
      await repairContainer(hand.context, { name });
    });
  },
  config: configSome,
  init: initSome,
};

async function importDirectory(hand: Hand, name: string, replace: boolean): Promise<void> {
  const { source } = hand.places;
  hand.freshFile(`${source}/changing`, 3_000_000);
  const verb = replace ? "import --replace" : "import";
  await hand.does({ verb, names: { [name]: "?" }, source }, async () => {
    return { [name]: (await importLayer(hand.context, { source, name, replace })).digest };
  });
}

async function importTar(hand: Hand): Promise<void> {
  const { source, sourceTar } = hand.places;
  hand.freshFile(`${source}/changing`, 2_000_000);
  spawnSync("tar", ["-cf", sourceTar, "-C", source, "."]);
  const name = hand.newName("l");
  await hand.does({ verb: "import of a tar", names: { [name]: "?" }, source: sourceTar }, async () => {
    return { [name]: (await importLayer(hand.context, { source: sourceTar, name })).digest };
  });
}

export async function aLayer(hand: Hand): Promise<string> {
  const found = hand.one(hand.named("l"));
  if (found !== undefined) return found;
  await importDirectory(hand, hand.newName("l"), false);
  return await aLayer(hand);
}

/** One that nothing else is to go on with. */
async function createdLayer(hand: Hand): Promise<string> {
  const name = hand.newName("l");
  await importDirectory(hand, name, false);
  return name;
}

export async function aContainer(hand: Hand): Promise<string> {
  return hand.one(hand.named("c")) ?? (await createOf(hand, await aLayer(hand), "c"));
}

async function createOf(hand: Hand, layer: string, kind: "c" | "p"): Promise<string> {
  const name = hand.newName(kind);
  const place = kind === "c" ? { lxcPath: hand.places.lxc } : { noLxc: true };
  await hand.does(
    { verb: kind === "c" ? "create" : "create --no-lxc", names: { [name]: hand.digest(layer) } },
    async () => {
      await create(hand.context, { source: layer, name, ...place });
    },
  );
  return name;
}

async function createOfDirectory(hand: Hand): Promise<void> {
  const { source, lxc } = hand.places;
  hand.freshFile(`${source}/changing`, 1_000_000);
  const name = hand.newName("c");
  await hand.does({ verb: "create of a directory", names: { [name]: "?" }, source }, async () => {
    return { [name]: (await create(hand.context, { source, name, lxcPath: lxc })).digest };
  });
}

async function cloneSome(hand: Hand): Promise<void> {
  const ref = await aContainer(hand);
  const isPlain = hand.random(4) === 0;
  const names = Array.from({ length: 1 + hand.random(3) }, () => hand.newName(isPlain ? "p" : "c"));
  const plan = Object.fromEntries(names.map((name) => [name, hand.digest(ref)]));
  await hand.does({ verb: "clone", names: plan }, async () => {
    await clone(hand.context, { ref, names, ...(isPlain ? { noLxc: true } : { lxcPath: hand.places.lxc }) });
  });
}

async function copySome(hand: Hand): Promise<void> {
  const ref = await aContainer(hand);
  const names = [hand.newName("x"), hand.newName("x")];
  const { lxc } = hand.places;
  const places = Object.fromEntries(names.map((name) => [`${lxc}/${name}/rootfs`, hand.digest(ref)]));
  await hand.does({ verb: "clone --copy", places }, async () => {
    await clone(hand.context, { ref, names, copy: true, lxcPath: lxc });
  });
}

/** What the pre-start hook does: the exports, and the delta where it is pending. */
export async function started(hand: Hand, name: string): Promise<void> {
  const configFile = `${hand.places.lxc}/${name}/config`;
  const rootfsPath = getValue(readConfig(configFile), "lxc.rootfs.path") ?? "";
  await hand.does({ verb: "pre-start", names: { [name]: hand.digest(name) } }, async () => {
    await preStart(hand.context, { configFile, rootfsPath });
  });
}

/** As a start and a change leave a container: the change is there as a whole or not at all, but nothing synced it. */
async function changed(hand: Hand): Promise<{ name: string; path: string; change: () => void }> {
  const name = await aContainer(hand);
  await started(hand, name);
  const path = `written-${hand.random(5)}`;
  const [made, directory] = [`${hand.places.scratch}/written`, `${hand.places.lxc}/${name}`];
  hand.freshFile(made, 200_000);
  const change = (): void => {
    mkdirSync(`${directory}/work`, { recursive: true });
    renameSync(made, `${directory}/delta0/${path}`);
  };
  return { name, path, change };
}

async function captureSome(hand: Hand): Promise<void> {
  const { name, path, change } = await changed(hand);
  await hand.does({ verb: "capture", names: { [name]: "?" }, changes: { [name]: [path] } }, async () => {
    change();
    return { [name]: (await capture(hand.context, { name })).digest };
  });
}

async function postStopSome(hand: Hand): Promise<void> {
  const { name, path, change } = await changed(hand);
  const configFile = `${hand.places.lxc}/${name}/config`;
  await hand.does({ verb: "post-stop", names: { [name]: "?" }, changes: { [name]: [path] } }, async () => {
    change();
    await postStop(hand.context, { configFile, rootfsPath: getValue(readConfig(configFile), "lxc.rootfs.path") ?? "" });
    return { [name]: (await show(hand.context, { ref: name })).digest };
  });
}

async function commitSome(hand: Hand): Promise<string> {
  const name = await aContainer(hand);
  const layer = hand.newName("l");
  const digest = hand.digest(name);
  await hand.does({ verb: "commit", names: { [name]: digest, [layer]: digest } }, async () => {
    await commit(hand.context, { name, layer });
  });
  return layer;
}

async function snapshotOf(hand: Hand, name: string): Promise<string> {
  const key = hand.newName("s");
  await hand.does({ verb: "snapshot", names: { [`${name}@${key}`]: hand.digest(name) } }, async () => {
    await snapshot(hand.context, { name, snapshot: key });
  });
  return key;
}

async function aSnapshot(hand: Hand): Promise<[container: string, snapshot: string]> {
  const name = await aContainer(hand);
  return [name, hand.one(hand.snapshotsOf(name)) ?? (await snapshotOf(hand, name))];
}

async function rollbackSome(hand: Hand): Promise<void> {
  const [name, key] = await aSnapshot(hand);
  await hand.does({ verb: "rollback", names: { [name]: hand.digest(`${name}@${key}`) } }, async () => {
    await rollback(hand.context, { name, snapshot: key });
  });
}

async function resetSome(hand: Hand): Promise<void> {
  const name = await aContainer(hand);
  const { container } = await show(hand.context, { ref: name });
  await hand.does({ verb: "reset", names: { [name]: container?.lower ?? null } }, async () => {
    await reset(hand.context, { name });
  });
}

async function renameOne(hand: Hand, from: string, to: string): Promise<void> {
  const names: Record<string, Meaning> = { [from]: null, [to]: hand.digest(from) };
  for (const key of hand.snapshotsOf(from)) {
    names[`${to}@${key}`] = hand.digest(`${from}@${key}`);
    names[`${from}@${key}`] = null;
  }
  await hand.does({ verb: from.startsWith("l") ? "rename of a layer" : "rename", names }, async () => {
    await rename(hand.context, { from, to });
  });
}

export async function removeAll(hand: Hand, names: readonly string[], now: boolean): Promise<void> {
  const all = names.flatMap((name) => [name, ...hand.snapshotsOf(name).map((key) => `${name}@${key}`)]);
  const verb = now ? "rm --now" : names[0]?.startsWith("l") ? "rm of a layer" : "rm";
  await hand.does({ verb, names: Object.fromEntries(all.map((name) => [name, null])) }, async () => {
    await remove(hand.context, { names, now });
  });
}

async function tagSome(hand: Hand): Promise<void> {
  const ref = hand.random(2) === 0 ? await aLayer(hand) : await aContainer(hand);
  const name = hand.newName("l");
  await hand.does({ verb: "tag", names: { [name]: hand.digest(ref) } }, async () => {
    await tag(hand.context, { ref, name });
  });
}

async function pinSome(hand: Hand): Promise<void> {
  const [name, key] = await aSnapshot(hand);
  const ref = `${name}@${key}`;
  await hand.does({ verb: "pin", names: { [ref]: hand.digest(ref) } }, async () => {
    await pin(hand.context, { refs: [ref], pinned: hand.random(2) === 0 });
  });
}

async function undoSome(hand: Hand): Promise<void> {
  const container = await aContainer(hand);
  const before = new Map(hand.names);
  const first = hand.one<Command>([
    tagSome,
    cloneSome,
    async () => removeAll(hand, [container], false),
    async () => renameOne(hand, container, hand.newName("c")),
    async () => {
      await snapshotOf(hand, container);
    },
  ]);
  await first?.(hand);
  const names: Record<string, Meaning> = {};
  for (const name of new Set([...before.keys(), ...hand.names.keys()]))
    if (before.get(name) !== hand.names.get(name)) names[name] = before.get(name) ?? null;
  await hand.does({ verb: "undo", names }, async () => {
    await undo(hand.context);
  });
}

async function retainSome(hand: Hand): Promise<void> {
  const name = await aContainer(hand);
  while (hand.snapshotsOf(name).length < 3) await snapshotOf(hand, name);
  const rules = { names: [name], keepLast: 1 };
  const { items } = await retain(hand.context, { ...rules, dryRun: true });
  const gone = items.filter(({ reasons }) => reasons.length === 0);
  await hand.does({ verb: "retain", names: Object.fromEntries(gone.map(({ ref }) => [ref, null])) }, async () => {
    await retain(hand.context, rules);
  });
}

async function squashSome(hand: Hand): Promise<void> {
  const name = await commitSome(hand);
  await hand.does({ verb: "squash", names: { [name]: hand.digest(name) } }, async () => {
    await squash(hand.context, { name });
  });
}

async function rebaseSome(hand: Hand): Promise<void> {
  const onto = await createdLayer(hand);
  const name = await aContainer(hand);
  await hand.does({ verb: "rebase", names: { [name]: "?" } }, async () => {
    const { digest } = await rebase(hand.context, { name, onto, prefer: "ours" });
    return { [name]: digest ?? hand.digest(name) };
  });
}

async function configSome(hand: Hand): Promise<void> {
  const value = `${1 + hand.random(1000)}h`;
  await hand.does({ verb: "config", names: { "=exports.grace": value } }, async () => {
    await configure(hand.context, { key: "exports.grace", value });
  });
}

async function initSome(hand: Hand): Promise<void> {
  const directory = `${hand.places.scratch}/init`;
  if (existsSync(directory)) spawnSync("rm", ["-rf", directory]);
  await hand.does({ verb: "init" }, async () => {
    await using _store = await Store.open(directory, { create: true });
    return undefined;
  });
}
