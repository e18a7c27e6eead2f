/**
 * The main job on real input, as the README's first command runs it: a root filesystem goes in, two clones of it are started
 * at once, what they change is captured and becomes a layer, and each step says what it cost.
 *
 *     npm start [-- ROOTFS]      ROOTFS: a directory or a tar; default: a Debian that mmdebstrap makes
 *
 * What this machine cannot do (no root, no LXC) is left out, and said at the end.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { rootfsSkipReason, rootfsTar } from "../test/support/rootfs.ts";
import { hasCommand, isRoot } from "../test/support/run.ts";
import { unmountBelow } from "../test/support/temporary.ts";

const CLI = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const WORK = mkdtempSync("/var/tmp/delta0-main-job-");
const LXC = `${WORK}/lxc`;
const costs: { step: string; seconds: string }[] = [];
const leftOut: string[] = [];

try {
  mkdirSync(LXC);
  const rootfs = await chooseRootfs(process.argv[2]);
  delta0("import", rootfs, "base", "-m", "as it came");
  if (canStart()) startClones();
  else exportClone();
  delta0("ls", "-l");
  delta0("info");
  print("\nWhat it took:");
  for (const { step, seconds } of costs) print(`${seconds.padStart(8)} s  ${step}`);
  if (leftOut.length > 0) print(`\nLeft out here:\n${leftOut.map((line) => `  ${line}`).join("\n")}`);
} finally {
  await cleanUp();
}

/** The user's own, else a Debian, else whatever this machine lets anybody read. */
async function chooseRootfs(given: string | undefined): Promise<string> {
  if (given !== undefined) return resolve(given);
  const reason = rootfsSkipReason("bookworm");
  if (reason === undefined) return await rootfsTar("bookworm");
  leftOut.push(`a Debian root filesystem: ${reason}. In its place stands /usr/share of this machine.`);
  return "/usr/share";
}

function canStart(): boolean {
  if (!isRoot()) leftOut.push("starting containers: needs root. The clone was exported to a directory instead.");
  else if (!hasCommand("lxc-start"))
    leftOut.push("starting containers: LXC is not installed. The clone was exported instead.");
  else return true;
  return false;
}

/** Two clones live at once on one shared export; each changes something of its own. */
function startClones(): void {
  const bootsSystemd = quiet("cat", "base:/lib/systemd/systemd") || quiet("cat", "base:/sbin/init");
  // A root filesystem without an init gets something that stays.
  const init = bootsSystemd ? [] : ["--set", "lxc.init.cmd=/bin/sleep 1000"];
  delta0("create", "base", "web1", ...init);
  delta0("clone", "web1", "web2");
  for (const name of ["web1", "web2"]) lxc("lxc-start", "-n", name);
  for (const name of ["web1", "web2"]) {
    lxc("lxc-wait", "-n", name, "-s", "RUNNING", "-t", "30");
    attach(
      name,
      `echo "written in ${name}" >/root/hello && cat /etc/os-release | head -n 1 && rm -rf /usr/share/doc/base-files`,
    );
  }
  for (const name of ["web1", "web2"]) lxc("lxc-stop", "-n", name, "-t", "10");
  for (const name of ["web1", "web2"])
    print(`${LXC}/${name}/delta0: ${readdirSync(`${LXC}/${name}/delta0`).join(" ")}`);
  delta0("capture", "web1");
  delta0Allowing([0, 1], "status", "web1");
  delta0("commit", "web1", "web-with-hello", "-m", "said hello");
  delta0("create", "web-with-hello", "web3", ...init);
  lxc("lxc-start", "-n", "web3");
  attach("web3", "cat /root/hello");
  lxc("lxc-stop", "-n", "web3", "-t", "10");
}

function exportClone(): void {
  delta0("create", "base", "web1", "--no-lxc");
  delta0("clone", "web1", "web2", "--no-lxc");
  delta0("export", "web2", `${WORK}/rootfs`, ...(isRoot() ? [] : ["--as-user"]));
  print(`${WORK}/rootfs: ${readdirSync(`${WORK}/rootfs`).join(" ")}`);
}

function attach(name: string, script: string): void {
  lxc("lxc-attach", "-n", name, "--clear-env", "-v", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "--", "sh", "-c", script);
}

function lxc(program: string, ...args: string[]): void {
  run(program, ["-P", LXC, ...args], `${program} ${args.join(" ")}`);
}

function delta0(...args: string[]): void {
  delta0Allowing([0], ...args);
}

function delta0Allowing(codes: readonly number[], ...args: string[]): void {
  const where = [
    "--store",
    `${WORK}/store`,
    ...(["create", "clone"].includes(args[0] ?? "") && !args.includes("--no-lxc") ? ["--lxcpath", LXC] : []),
  ];
  run(process.execPath, [CLI, ...args, ...where], `delta0 ${args.join(" ")}`, codes);
}

/** @returns whether it succeeds */
function quiet(...args: string[]): boolean {
  return spawnSync(process.execPath, [CLI, ...args, "--store", `${WORK}/store`], { stdio: "ignore" }).status === 0;
}

function run(program: string, args: readonly string[], step: string, allowed: readonly number[] = [0]): void {
  print(`\n$ ${step}`);
  const began = performance.now();
  const { status, error } = spawnSync(program, args, { stdio: ["ignore", "inherit", "inherit"] });
  costs.push({ step, seconds: ((performance.now() - began) / 1000).toFixed(2) });
  if (error) throw error;
  if (!allowed.includes(status ?? -1)) throw new Error(`${step}: ended with ${status ?? "a signal"}`);
}

async function cleanUp(): Promise<void> {
  for (const name of existsSync(LXC) ? readdirSync(LXC) : [])
    if (hasCommand("lxc-stop") && isRoot()) spawnSync("lxc-stop", ["-P", LXC, "-n", name, "-k"], { stdio: "ignore" });
  if (isRoot()) {
    await unmountBelow(WORK);
    spawnSync("sh", ["-c", `chattr -i ${WORK}/store/private/exports/* 2>/dev/null`]);
  }
  rmSync(WORK, { recursive: true, force: true });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
