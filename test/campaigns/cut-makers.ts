import { spawnSync } from "node:child_process";
import { clone, create, importLayer, preStart, remove, rename, snapshot } from "../../src/index.ts";
import { getValue, readConfig } from "../../src/lxc/config-file.ts";
import type { Hand } from "./cut-hand.ts";
import type { Meaning } from "./cut-model.ts";

/** A command of some kind, with what it works on drawn at random; what it needs is made before, by other commands. */
export type Command = (hand: Hand) => Promise<void>;

export async function importDirectory(hand: Hand, name: string, replace: boolean): Promise<void> {
  const { source } = hand.places;
  hand.freshFile(`${source}/changing`, 3_000_000);
  const verb = replace ? "import --replace" : "import";
  await hand.does({ verb, names: { [name]: "?" }, source }, async () => {
    return { [name]: (await importLayer(hand.context, { source, name, replace })).digest };
  });
}

export async function importTar(hand: Hand): Promise<void> {
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
export async function createdLayer(hand: Hand): Promise<string> {
  const name = hand.newName("l");
  await importDirectory(hand, name, false);
  return name;
}

export async function aContainer(hand: Hand): Promise<string> {
  return hand.one(hand.named("c")) ?? (await createOf(hand, await aLayer(hand), "c"));
}

export async function createOf(hand: Hand, layer: string, kind: "c" | "p"): Promise<string> {
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

export async function createOfDirectory(hand: Hand): Promise<void> {
  const { source, lxc } = hand.places;
  hand.freshFile(`${source}/changing`, 1_000_000);
  const name = hand.newName("c");
  await hand.does({ verb: "create of a directory", names: { [name]: "?" }, source }, async () => {
    return { [name]: (await create(hand.context, { source, name, lxcPath: lxc })).digest };
  });
}

export async function cloneSome(hand: Hand): Promise<void> {
  const ref = await aContainer(hand);
  const isPlain = hand.random(4) === 0;
  const names = Array.from({ length: 1 + hand.random(3) }, () => hand.newName(isPlain ? "p" : "c"));
  const plan = Object.fromEntries(names.map((name) => [name, hand.digest(ref)]));
  await hand.does({ verb: "clone", names: plan }, async () => {
    await clone(hand.context, { ref, names, ...(isPlain ? { noLxc: true } : { lxcPath: hand.places.lxc }) });
  });
}

export async function copySome(hand: Hand): Promise<void> {
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

export async function snapshotOf(hand: Hand, name: string): Promise<string> {
  const key = hand.newName("s");
  await hand.does({ verb: "snapshot", names: { [`${name}@${key}`]: hand.digest(name) } }, async () => {
    await snapshot(hand.context, { name, snapshot: key });
  });
  return key;
}

export async function aSnapshot(hand: Hand): Promise<[container: string, snapshot: string]> {
  const name = await aContainer(hand);
  return [name, hand.one(hand.snapshotsOf(name)) ?? (await snapshotOf(hand, name))];
}

export async function renameOne(hand: Hand, from: string, to: string): Promise<void> {
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
