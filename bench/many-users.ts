/** What commands wait while one process imports a root filesystem. Run: npm run bench -- many-users */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { unpackedRootfs } from "../test/support/rootfs.ts";
import { benchDirectory, CLI, delta0, median, report, Samples, sized, timed } from "./support.ts";

const PROCESSES = 16;
const CLONES = sized(50, 5);
const COMMANDS = 16;
const ROUNDS = sized(3, 1);
const GUEST = fileURLToPath(new URL("../dist/service/session.js", import.meta.url));

const PROGRAM = `
const [, module, store, prefix, count] = process.argv;
const { Session } = await import(module);
const session = new Session(store);
process.stdout.write("ready\\n");
await new Promise((resolve) => process.stdin.once("data", resolve));
const waited = [];
for (let i = 0; i < Number(count); i++) {
  const began = performance.now();
  await session.api.clone({ command: "bench" }, { ref: "base", names: [prefix + i], noLxc: true });
  waited.push((performance.now() - began) / 1000);
}
await session[Symbol.asyncDispose]();
process.stdout.write(JSON.stringify(waited) + "\\n");
`;

await using at = await benchDirectory(6000);
const source = await unpackedRootfs("bookworm-large");

const samples = new Samples();
const imports = { what: "import of bookworm-large", unit: "s" } as const;
for (let round = 0; round < ROUNDS; round++) {
  const alone = await timed(() => started(`alone${round}`, ["import", source, "root"]).done);
  samples.add({ ...imports, who: "delta0, alone" }, alone);
  await libraries(`shared${round}`);
  await commands(`commands${round}`);
}
await report(`${PROCESSES} processes make ${CLONES} clones each while another imports`, samples.figures);

async function libraries(store: string): Promise<void> {
  delta0(`${at.path}/${store}`, ["import", "/etc/apt", "base"]);
  const guests = Array.from({ length: PROCESSES }, (_, i) => guest(store, `p${i}-`));
  for (const { ready } of guests) await ready;
  const importing = started(store, ["import", source, "root"]);
  const beside = await timed(async () => {
    await sleep(200);
    for (const { go } of guests) go();
    await importing.done;
  });
  samples.add({ ...imports, who: "delta0, beside the clones" }, beside);
  const waits: number[] = [];
  for (const { waited } of guests) waits.push(...(await waited));
  spread("a clone by the library during the import", waits);
}

async function commands(store: string): Promise<void> {
  delta0(`${at.path}/${store}`, ["import", "/etc/apt", "base"]);
  const clones = (prefix: string): Promise<number[]> =>
    Promise.all(
      Array.from({ length: COMMANDS }, (_, i) =>
        timed(() => started(store, ["clone", "base", `${prefix}${i}`, "--no-lxc"]).done),
      ),
    );
  const importing = started(store, ["import", source, "root"]);
  await sleep(200);
  spread(`one of ${COMMANDS} clone commands at once, during the import`, await clones("c"));
  await importing.done;
  spread(`one of ${COMMANDS} clone commands at once, with nobody else`, await clones("d"));
}

function spread(what: string, waits: readonly number[]): void {
  const sorted = waits.toSorted((a, b) => a - b);
  samples.add({ what, who: "delta0, the median", unit: "s" }, median(sorted));
  if (sorted.length > 100)
    samples.add({ what, who: "delta0, one in 100 takes longer", unit: "s" }, sorted[Math.floor(sorted.length * 0.99)]!);
  samples.add({ what, who: "delta0, the slowest", unit: "s" }, sorted.at(-1)!);
}

/** A command that is under way. */
function started(store: string, args: readonly string[]): { readonly done: Promise<void> } {
  const child = spawn(process.execPath, [CLI, "--quiet", "--store", `${at.path}/${store}`, ...args], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  return {
    done: once(child, "exit").then(([code]) => {
      if (code !== 0) throw new Error(`delta0 ${args.join(" ")} exited with ${String(code)}`);
    }),
  };
}

/** A program that makes clones by the library, and says what it waited for each, in seconds. */
function guest(store: string, prefix: string): { ready: Promise<unknown>; go: () => void; waited: Promise<number[]> } {
  const child = spawn(
    process.execPath,
    ["--input-type=module", "-e", PROGRAM, GUEST, `${at.path}/${store}`, prefix, String(CLONES)],
    {
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  let text = "";
  child.stdout.on("data", (bytes: Buffer) => (text += bytes.toString()));
  const ready = once(child.stdout, "data");
  const waited = once(child, "close").then(([code]) => {
    if (code !== 0) throw new Error(`a guest exited with ${String(code)}`);
    return JSON.parse(text.split("\n")[1] ?? "") as number[];
  });
  return { ready, go: () => child.stdin.end("go"), waited };
}
