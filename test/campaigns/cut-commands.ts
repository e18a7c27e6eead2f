import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import {
  capture,
  clone,
  commit,
  configure,
  gc,
  identity,
  pin,
  postStop,
  putAway,
  rebase,
  repairContainer,
  reset,
  retain,
  rollback,
  show,
  squash,
  Store,
  tag,
  undo,
} from "../../src/index.ts";
import { getValue, readConfig } from "../../src/lxc/config-file.ts";
import type { Hand } from "./cut-hand.ts";
import {
  aContainer,
  aLayer,
  aSnapshot,
  cloneSome,
  copySome,
  createdLayer,
  createOf,
  createOfDirectory,
  importDirectory,
  importTar,
  removeAll,
  renameOne,
  snapshotOf,
  started,
} from "./cut-makers.ts";
import type { Command } from "./cut-makers.ts";
import type { Meaning } from "./cut-model.ts";

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
