import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import {
  adopt,
  backup,
  chmodFiles,
  chownFiles,
  copy,
  exportTree,
  get,
  linkFiles,
  makeDirectories,
  moveFiles,
  openContainer,
  put,
  receive,
  repairExports,
  restore,
  send,
  setXattr,
  show,
  unexport,
  unlinkFiles,
  warmExport,
} from "../../src/index.ts";
import { aContainer, aLayer, started } from "./cut-makers.ts";
import type { Command } from "./cut-makers.ts";
import type { Hand } from "./cut-hand.ts";
import type { Meaning } from "./cut-model.ts";

/** Those that change files of a container, and those that write outside of the store, or take something in from there. */
export const FILE_COMMANDS: Readonly<Record<string, Command>> = {
  put: async (hand) => {
    await putSome(hand);
  },
  mkdir: (hand) =>
    changing(hand, "mkdir", async (name) => {
      const paths = [hand.newName("t"), hand.newName("t")];
      return [paths, () => makeDirectories(hand.context, { paths: within(name, paths) })];
    }),
  mv: async (hand) => {
    const [name, [from = "", other = ""]] = await putSome(hand);
    const to = hand.newName("t");
    const work = (): Promise<unknown> =>
      moveFiles(hand.context, { paths: within(name, [from]), target: `${name}:/${to}` });
    await changes(hand, "mv", name, [from, to], work);
    await changes(hand, "rm of files", name, [to, other], () =>
      unlinkFiles(hand.context, { paths: within(name, [to, other]) }),
    );
  },
  chmod: async (hand) => {
    const [name, paths] = await putSome(hand);
    await changes(hand, "chmod", name, paths, () =>
      chmodFiles(hand.context, { paths: within(name, paths), mode: "700" }),
    );
  },
  chown: async (hand) => {
    const [name, paths] = await putSome(hand);
    await changes(hand, "chown", name, paths, () =>
      chownFiles(hand.context, { paths: within(name, paths), owner: "7:8" }),
    );
  },
  ln: async (hand) => {
    const [name, [target = ""]] = await putSome(hand);
    const link = hand.newName("t");
    await changes(hand, "ln", name, [target, link], () =>
      linkFiles(hand.context, { targets: within(name, [target]), path: `${name}:/${link}` }),
    );
  },
  setfattr: async (hand) => {
    const [name, paths] = await putSome(hand);
    const attribute = { attribute: "user.note", value: hand.newName("t") };
    await changes(hand, "setfattr", name, paths, () =>
      setXattr(hand.context, { paths: within(name, paths), ...attribute }),
    );
  },
  "a view's writing": (hand) =>
    changing(hand, "a view's writing", async (name) => {
      const path = hand.newName("t");
      const work = async (): Promise<void> => {
        await using view = await openContainer(hand.context, { name });
        await view.promises.symlink("f0", `/${path}`);
        const root = await view.promises.open("/", "r");
        await root.sync();
        await root.close();
      };
      return [[path], work];
    }),
  export: (hand) => exportSome(hand, ""),
  "export of a tar": (hand) => exportSome(hand, ".tar"),
  get: async (hand) => {
    const name = await aContainer(hand);
    const target = `${hand.places.scratch}/${hand.newName("t")}`;
    mkdirSync(target);
    await hand.does({ verb: "get" }, async () => {
      await get(hand.context, { paths: [`${name}:/d0`, `${name}:/d1`], target });
    });
    rmSync(target, { recursive: true });
  },
  "export --for-start": async (hand) => {
    const ref = await aLayer(hand);
    await hand.does({ verb: "export --for-start" }, async () => {
      await warmExport(hand.context, { ref });
    });
  },
  unexport: async (hand) => {
    const ref = await aLayer(hand);
    await hand.does({ verb: "export --for-start" }, async () => {
      await warmExport(hand.context, { ref });
    });
    await hand.does({ verb: "unexport" }, async () => {
      await unexport(hand.context, {});
    });
  },
  "exports --repair": repairSome,
  backup: async (hand) => {
    await backupSome(hand);
  },
  restore: restoreSome,
  send: async (hand) => {
    await sendSome(hand);
  },
  receive: receiveSome,
  copy: async (hand) => {
    const ref = await aContainer(hand);
    const to = `${hand.places.scratch}/${hand.newName("t")}.store`;
    await hand.does({ verb: "copy", places: { [to]: hand.digest(ref) } }, async () => {
      await copy(hand.context, { refs: [ref], to, as: "copied" });
    });
  },
  "lxc adopt": (hand) => adoptSome(hand, false),
  "lxc adopt --convert": (hand) => adoptSome(hand, true),
};

function within(name: string, paths: readonly string[]): string[] {
  return paths.map((path) => `${name}:/${path}`);
}

async function changes(
  hand: Hand,
  verb: string,
  name: string,
  paths: readonly string[],
  work: () => Promise<unknown>,
): Promise<void> {
  const { context } = hand;
  await hand.does({ verb, names: { [name]: "?" }, changes: { [name]: paths } }, async () => {
    await work();
    return { [name]: (await show(context, { ref: name })).digest };
  });
}

type Change = readonly [paths: readonly string[], work: () => Promise<unknown>];

async function changing(hand: Hand, verb: string, change: (name: string) => Promise<Change>): Promise<void> {
  const name = hand.one(hand.named("p")) ?? (await aContainer(hand));
  const [paths, work] = await change(name);
  await changes(hand, verb, name, paths, work);
}

async function putSome(hand: Hand): Promise<[name: string, paths: string[]]> {
  const name = await aContainer(hand);
  const paths = [hand.newName("t"), hand.newName("t")];
  const sources = paths.map((path) => `${hand.places.scratch}/${path}`);
  for (const source of sources) hand.freshFile(source, 300_000);
  await changes(hand, "put", name, paths, () => put(hand.context, { sources, target: `${name}:/` }));
  for (const source of sources) rmSync(source);
  return [name, paths];
}

async function exportSome(hand: Hand, suffix: string): Promise<void> {
  const ref = await aContainer(hand);
  const target = `${hand.places.scratch}/${hand.newName("t")}${suffix}`;
  if (suffix === "" && hand.random(2) === 0) mkdirSync(target);
  const verb = suffix === "" ? "export" : "export of a tar";
  await hand.does({ verb, places: { [target]: hand.digest(ref) } }, async () => {
    await exportTree(hand.context, { ref, target });
  });
}

/** Of an export that somebody changed. */
async function repairSome(hand: Hand): Promise<void> {
  const name = await aContainer(hand);
  await started(hand, name);
  const { exports, paths } = hand.context.store;
  const key = exports.keys().find((key) => existsSync(`${paths.privateExports}/${key}/d1/f1`));
  await hand.does({ verb: "exports --repair" }, async () => {
    if (key !== undefined) writeFileSync(`${paths.privateExports}/${key}/d1/f1`, "changed");
    await repairExports(hand.context);
  });
}

async function backupSome(hand: Hand): Promise<[name: string, file: string]> {
  const name = await aContainer(hand);
  const file = `${hand.places.scratch}/${hand.newName("t")}.backup`;
  await hand.does({ verb: "backup", places: { [file]: hand.digest(name) } }, async () => {
    await backup(hand.context, { name, file });
  });
  return [name, file];
}

async function restoreSome(hand: Hand): Promise<void> {
  const [from, file] = await backupSome(hand);
  const name = hand.newName("c");
  await hand.does({ verb: "restore", names: asNamed(hand, from, name) }, async () => {
    await restore(hand.context, { file, name, lxcPath: hand.places.lxc });
  });
}

async function sendSome(hand: Hand): Promise<[name: string, file: string]> {
  const name = await aContainer(hand);
  const file = `${hand.places.scratch}/${hand.newName("t")}.sent`;
  await hand.does({ verb: "send", places: { [file]: hand.digest(name) } }, async () => {
    await send(hand.context, { refs: [name], file });
  });
  return [name, file];
}

async function receiveSome(hand: Hand): Promise<void> {
  const [from, file] = await sendSome(hand);
  const name = hand.newName("p");
  await hand.does({ verb: "receive", names: asNamed(hand, from, name) }, async () => {
    await receive(hand.context, { file, as: name });
  });
}

/** What a copy of a container by another name has. */
function asNamed(hand: Hand, from: string, name: string): Record<string, Meaning> {
  const snapshots = hand.snapshotsOf(from).map((key) => [`${name}@${key}`, hand.digest(`${from}@${key}`)]);
  return Object.fromEntries([[name, hand.digest(from)], ...snapshots]) as Record<string, Meaning>;
}

/** Of a container of LXC alone, in an LXC path of its own. */
async function adoptSome(hand: Hand, convert: boolean): Promise<void> {
  const name = hand.newName("p");
  const lxcPath = `${hand.places.path}/foreign`;
  const directory = `${lxcPath}/${name}`;
  mkdirSync(`${directory}/rootfs/etc`, { recursive: true });
  for (const file of readdirSync(`${hand.places.source}/d0`).slice(0, 3))
    hand.freshFile(`${directory}/rootfs/etc/${file}`, 100_000);
  writeFileSync(`${directory}/config`, `lxc.rootfs.path = dir:${directory}/rootfs\nlxc.uts.name = ${name}\n`);
  const verb = convert ? "lxc adopt --convert" : "lxc adopt";
  const plan = { verb, names: { [name]: "?" }, ...(convert ? {} : { source: `${directory}/rootfs` }) };
  await hand.does(plan, async () => {
    return { [name]: (await adopt(hand.context, { name, lxcPath, convert })).digest };
  });
}
