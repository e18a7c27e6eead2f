/**
 * The main job on real input, as the README's first command runs it: a root filesystem goes in, two clones of it are started
 * at once, what they change is captured and becomes a layer, and each step says what it cost.
 *
 *     npm start [-- ROOTFS]      ROOTFS: a directory or a tar; default: a Debian that mmdebstrap makes
 *
 * What this machine cannot do (no root, no LXC) is left out, and said at the end.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { lxcSkipReason } from "../test/support/requirements.ts";
import { rootfsSkipReason, rootfsTar } from "../test/support/rootfs.ts";
import { hasCommand, isRoot } from "../test/support/run.ts";
import { unmountBelow } from "../test/support/temporary.ts";

/** Ends the job; a step that failed has said why itself. */
class Ended extends Error {
  readonly exit: number;

  constructor(why: string, exit: number) {
    super(why);
    this.exit = exit;
  }
}

const CLI = fileURLToPath(new URL("../dist/cli/main.cjs", import.meta.url));
const EXIT_OF_SIGNAL = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const EXIT_LOSSES = 3;

const WORK = mkdtempSync("/var/tmp/delta0-main-job-");
const LXC = `${WORK}/lxc`;
mkdirSync(LXC);
const costs: { step: string; seconds: string }[] = [];
const leftOut: string[] = [];
let running: ChildProcess | undefined;
const interruption = new AbortController();

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupt(signal));
try {
  await mainJob(process.argv[2]);
} catch (error) {
  process.stderr.write(
    `\nnpm start: ${error instanceof Error ? error.message : String(error)}; the rest was not done\n`,
  );
  process.exitCode = error instanceof Ended ? error.exit : 1;
} finally {
  await cleanUp();
}

async function mainJob(given: string | undefined): Promise<void> {
  await delta0("import", await chooseRootfs(given), "base", "-m", "as it came");
  const reason = lxcSkipReason();
  if (reason === undefined) await startClones();
  else {
    leftOut.push(`${reason}. Clones were made all the same, and one was exported to a directory.`);
    await exportClone();
  }
  await delta0("ls", "-l");
  await delta0("info");
  print("\nWhat it took:");
  for (const { step, seconds } of costs) print(`${seconds.padStart(8)} s  ${step}`);
  if (leftOut.length > 0) print(`\nLeft out here:\n${leftOut.map((line) => `  ${line}`).join("\n")}`);
}

/** The user's own, else a Debian, else whatever this machine lets this user read. */
async function chooseRootfs(given: string | undefined): Promise<string> {
  // npm runs us in the package's directory, wherever it was called.
  if (given !== undefined) return resolve(process.env["INIT_CWD"] ?? "", given);
  let reason = rootfsSkipReason("bookworm");
  if (reason === undefined) {
    try {
      return await rootfsTar("bookworm", interruption.signal);
    } catch (error) {
      interruption.signal.throwIfAborted();
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      reason = "mmdebstrap failed";
    }
  }
  leftOut.push(`${reason}: no Debian was made. /etc and /usr/share of this machine stand for one, as far as readable.`);
  const tar = `${WORK}/this-machine.tar`;
  await run("tar", ["-C", "/", "--ignore-failed-read", "--warning=no-failed-read", "-cf", tar, "etc", "usr/share"]);
  return tar;
}

/** Two clones live at once on one shared export; each changes something of its own. */
async function startClones(): Promise<void> {
  const bootsSystemd = has("base:/lib/systemd/systemd") || has("base:/sbin/init");
  // A root filesystem without an init gets something that stays, and as process 1 heeds no signal but this.
  const init = bootsSystemd ? [] : ["--set", "lxc.init.cmd=/bin/sleep 1000", "--set", "lxc.signal.halt=SIGKILL"];
  await delta0("create", "base", "web1", ...init);
  await delta0("clone", "web1", "web2");
  for (const name of ["web1", "web2"]) await lxc("lxc-start", "-n", name);
  for (const name of ["web1", "web2"]) {
    await lxc("lxc-wait", "-n", name, "-s", "RUNNING", "-t", "30");
    await attach(
      name,
      `echo "written in ${name}" >/root/hello && cat /etc/os-release | head -n 1 && rm -rf /usr/share/doc/base-files`,
    );
  }
  for (const name of ["web1", "web2"]) await lxc("lxc-stop", "-n", name, "-t", "10");
  for (const name of ["web1", "web2"])
    print(`${LXC}/${name}/delta0: ${readdirSync(`${LXC}/${name}/delta0`).join(" ")}`);
  await delta0("capture", "web1");
  await delta0Allowing([0, 1], "status", "web1");
  await delta0("commit", "web1", "web-with-hello", "-m", "said hello");
  await delta0("create", "web-with-hello", "web3", ...init);
  await lxc("lxc-start", "-n", "web3");
  await attach("web3", "cat /root/hello");
  await lxc("lxc-stop", "-n", "web3", "-t", "10");
}

async function exportClone(): Promise<void> {
  await delta0("create", "base", "web1", "--no-lxc");
  await delta0("clone", "web1", "web2", "--no-lxc");
  const target = `${WORK}/rootfs`;
  // Root may lack a privilege too, in a container; what that costs is listed.
  await delta0Allowing([0, EXIT_LOSSES], "export", "web2", target, ...(isRoot() ? [] : ["--as-user"]));
  print(`${target}: ${readdirSync(target).join(" ")}`);
}

async function attach(name: string, script: string): Promise<void> {
  const env = ["--clear-env", "-v", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
  await lxc("lxc-attach", "-n", name, ...env, "--", "sh", "-c", script);
}

async function lxc(program: string, ...args: string[]): Promise<void> {
  await run(program, ["-P", LXC, ...args], `${program} ${args.join(" ")}`);
}

async function delta0(...args: string[]): Promise<void> {
  await delta0Allowing([0], ...args);
}

async function delta0Allowing(codes: readonly number[], ...args: string[]): Promise<void> {
  const where = [
    "--store",
    `${WORK}/store`,
    ...(["create", "clone"].includes(args[0] ?? "") && !args.includes("--no-lxc") ? ["--lxcpath", LXC] : []),
  ];
  await run(process.execPath, [CLI, ...args, ...where], `delta0 ${args.join(" ")}`, codes);
}

/** Whether there is such a file. */
function has(path: string): boolean {
  return spawnSync(process.execPath, [CLI, "cat", path, "--store", `${WORK}/store`], { stdio: "ignore" }).status === 0;
}

async function run(
  program: string,
  args: readonly string[],
  step = `${program} ${args.join(" ")}`,
  allowed: readonly number[] = [0],
): Promise<void> {
  print(`\n$ ${step}`);
  const began = performance.now();
  const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
  running = child;
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exit) => resolve(exit ?? 1));
  });
  running = undefined;
  costs.push({ step, seconds: ((performance.now() - began) / 1000).toFixed(2) });
  interruption.signal.throwIfAborted();
  if (!allowed.includes(code)) throw new Ended(`${step}: ended with ${code}`, code);
}

/** The step under way ends first: what it has made is known then, and can be taken away. */
function interrupt(signal: keyof typeof EXIT_OF_SIGNAL): void {
  interruption.abort(new Ended(signal, EXIT_OF_SIGNAL[signal]));
  running?.kill(signal);
}

async function cleanUp(): Promise<void> {
  if (isRoot()) {
    for (const name of hasCommand("lxc-stop") ? readdirSync(LXC) : [])
      spawnSync("lxc-stop", ["-P", LXC, "-n", name, "-k"], { stdio: "ignore" });
    await unmountBelow(WORK);
    spawnSync("sh", ["-c", `chattr -i ${WORK}/store/private/exports/* 2>/dev/null`]);
  }
  // The last post-stop hook may still be at it.
  rmSync(WORK, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
