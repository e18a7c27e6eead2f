/**
 * Brings states from one store to another until it is killed: transfer-worker.ts FROM TO SEED
 *
 * Each line it prints is a name that is there now, or gone: {"name","digest"}, with null for what is gone. Before a name goes, it says
 * {"going"}.
 */
import { writeSync } from "node:fs";
import { copy, gc, list, receive, remove, send, show, Store } from "../../src/index.ts";

const [from = "", to = "", seedText = "1"] = process.argv.slice(2);
let seed = Number(seedText);
const random = (below: number): number => {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
};

await using store = await Store.open(from, { command: "worker" });
const context = { store, command: "worker" };
const refs = (await list(context)).map(({ name }) => name);

for (let serial = 0; ; serial++) {
  const ref = refs[random(refs.length)] ?? "";
  const as = `n${seedText}-${serial}`;
  say({ beginning: as });
  const { digest } = await show(context, { ref });
  if (random(2) === 0) await copy(context, { refs: [ref], to, as });
  else await sendAndReceive(ref, as);
  say({ name: as, digest });
  if (random(3) === 0) await collect();
}

async function sendAndReceive(ref: string, as: string): Promise<void> {
  const pieces: Uint8Array[] = [];
  const output = (bytes: Uint8Array): Promise<void> => Promise.resolve(void pieces.push(Uint8Array.from(bytes)));
  await send({ ...context, output }, { refs: [ref], file: "-" });
  await using target = await Store.open(to, { create: true, command: "worker" });
  await receive({ store: target, command: "worker", input: piecesOf(pieces) }, { file: "-", as });
}

async function* piecesOf(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield await Promise.resolve(piece);
}

/** Removes names, so that there is something to bring again. */
async function collect(): Promise<void> {
  await using target = await Store.open(to, { create: true, command: "worker" });
  const other = { store: target, command: "worker" };
  const names = (await list(other)).map(({ name }) => name);
  const gone = names.filter(() => random(2) === 0);
  if (gone.length > 0) {
    say({ going: gone });
    await remove(other, { names: gone });
    for (const name of gone) say({ name, digest: null });
  }
  await gc(other, { grace: "0" });
}

function say(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
