import { mkdirSync } from "node:fs";
import { backup, create, exportTree, importLayer, restore, warmExport } from "../../src/index.ts";
import type { Hand } from "./cut-hand.ts";

/** Those that run out of room in the midst of what they write. */
export const MUCH_COMMANDS: Readonly<Record<string, (hand: Hand) => Promise<void>>> = {
  "import of much": async (hand) => {
    await importMuch(hand);
  },
  "create of much": async (hand) => {
    const source = muchSource(hand);
    const name = hand.newName("c");
    await hand.does({ verb: "create of much", names: { [name]: "?" }, source }, async () => {
      return { [name]: (await create(hand.context, { source, name, lxcPath: hand.places.lxc })).digest };
    });
  },
  "export of much": (hand) => exportMuch(hand, "export of much", ""),
  "export of much to a tar": (hand) => exportMuch(hand, "export of much to a tar", ".tar"),
  "export --for-start of much": async (hand) => {
    const ref = await importMuch(hand);
    await hand.does({ verb: "export --for-start of much" }, async () => {
      await warmExport(hand.context, { ref });
    });
  },
  "backup of much": async (hand) => {
    await backupMuch(hand);
  },
  "restore of much": async (hand) => {
    const file = await backupMuch(hand);
    const name = hand.newName("p");
    await hand.does({ verb: "restore of much", names: { [name]: "?" } }, async () => {
      return { [name]: (await restore(hand.context, { file, name, noLxc: true })).digest };
    });
  },
};

function muchSource(hand: Hand): string {
  const source = `${hand.places.source}-much`;
  mkdirSync(source, { recursive: true });
  for (let i = 0; i < FILES; i++) hand.freshFile(`${source}/${i}`, FILE_BYTES);
  return source;
}

async function importMuch(hand: Hand): Promise<string> {
  const source = muchSource(hand);
  const name = hand.newName("l");
  await hand.does({ verb: "import of much", names: { [name]: "?" }, source }, async () => {
    return { [name]: (await importLayer(hand.context, { source, name })).digest };
  });
  return name;
}

async function exportMuch(hand: Hand, verb: string, suffix: string): Promise<void> {
  const ref = await importMuch(hand);
  const target = `${hand.places.scratch}/${hand.newName("t")}${suffix}`;
  await hand.does({ verb, places: { [target]: hand.digest(ref) } }, async () => {
    await exportTree(hand.context, { ref, target });
  });
}

async function backupMuch(hand: Hand): Promise<string> {
  const source = muchSource(hand);
  const name = hand.newName("p");
  await hand.does({ verb: "create of much", names: { [name]: "?" }, source }, async () => {
    return { [name]: (await create(hand.context, { source, name, noLxc: true })).digest };
  });
  const file = `${hand.places.scratch}/${hand.newName("t")}.backup`;
  await hand.does({ verb: "backup of much", places: { [file]: hand.digest(name) } }, async () => {
    await backup(hand.context, { name, file });
  });
  return file;
}

const FILES = 10;
const FILE_BYTES = 2_000_000;
