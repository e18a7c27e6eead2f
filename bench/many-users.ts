/** What commands wait while one process imports a root filesystem. Run: npm run bench -- many-users */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { unpackedRootfs } from "../test/support/rootfs.ts";
import { benchDirectory, CLI, delta0, median, reportText } from "./support.ts";

const PROCESSES = 16;
const CLONES = 50;
const COMMANDS = 16;
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
  waited.push(performance.now() - began);
}
await session[Symbol.asyncDispose]();
process.stdout.write(JSON.stringify(waited) + "\\n");
`;

await using at = await benchDirectory(6000);
const source = await unpackedRootfs("bookworm-large");

const alone: number[] = [];
for (const round of [1, 2, 3]) alone.push(await timed(() => started(`alone${round}`, ["import", source, "root"]).done));

const beside: number[] = [];
const waits: number[] = [];
for (const round of [1, 2, 3]) {
  const store = `shared${round}`;
  delta0(`${at.path}/${store}`, ["import", "/etc/apt", "base"]);
  const guests = Array.from({ length: PROCESSES }, (_, i) => guest(store, `p${i}-`));
  for (const { ready } of guests) await ready;
  const importing = started(store, ["import", source, "root"]);
  beside.push(
    await timed(async () => {
      await sleep(200);
      for (const { go } of guests) go();
      await importing.done;
    }),
  );
  for (const { waited } of guests) waits.push(...(await waited));
}

const store = "commands";
delta0(`${at.path}/${store}`, ["import", "/etc/apt", "base"]);
const importing = started(store, ["import", source, "root"]);
await sleep(200);
const commands = await Promise.all(
  Array.from({ length: COMMANDS }, (_, i) => timed(() => started(store, ["clone", "base", `c${i}`, "--no-lxc"]).done)),
);
await importing.done;
const free = await Promise.all(
  Array.from({ length: COMMANDS }, (_, i) => timed(() => started(store, ["clone", "base", `d${i}`, "--no-lxc"]).done)),
);

const sorted = waits.toSorted((a, b) => a - b);
const at99 = sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
reportText(`${PROCESSES} processes make ${CLONES} clones each while another imports a root filesystem of 551 MB`, [
  ["import alone", `${median(alone).toFixed(2)} s`],
  ["import beside the clones", `${median(beside).toFixed(2)} s: ${(median(beside) / median(alone)).toFixed(2)} times`],
  [
    "a clone: median, p99, slowest",
    [median(waits), at99, sorted.at(-1) ?? NaN].map((ms) => `${ms.toFixed(0)} ms`).join(", "),
  ],
  [`${COMMANDS} commands at once during an import: median, slowest`, span(commands)],
  [`${COMMANDS} commands at once, nobody else: median, slowest`, span(free)],
]);

function span(times: readonly number[]): string {
  return `${(median(times) * 1000).toFixed(0)} ms, ${(Math.max(...times) * 1000).toFixed(0)} ms`;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
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

/** A program that makes clones by the library, and says what it waited for each, in ms. */
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
