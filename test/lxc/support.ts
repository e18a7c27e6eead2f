import assert from "node:assert/strict";
import { appendFileSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type CliResult, cliStore, type CliStore } from "../support/cli.ts";
import { hasCommand, run } from "../support/run.ts";

/** A store, an LXC path, and what starts containers in it. */
export interface LxcHost extends CliStore {
  readonly lxcPath: string;
  /** Runs `delta0 ARGS -P LXCPATH`, which must succeed. */
  readonly ok: (...args: string[]) => Promise<CliResult>;
  /** Runs a program of LXC's for one container. */
  readonly lxc: (program: string, name: string, ...args: string[]) => Promise<string>;
  /** Runs a script in a running container. */
  readonly attach: (name: string, script: string) => Promise<string>;
  readonly state: (name: string) => Promise<string>;
  /** Mounts what a stopped container shows, read-only, and gives the path to `look`. */
  readonly mounted: <T>(name: string, look: (path: string) => Promise<T>) => Promise<T>;
}

export async function lxcHost(): Promise<LxcHost> {
  const at = await cliStore();
  const lxcPath = `${at.path}/lxc`;
  mkdirSync(lxcPath);
  const lxc = (program: string, name: string, ...args: string[]): Promise<string> =>
    run(program, ["-P", lxcPath, "-n", name, ...args]);
  const host: Omit<LxcHost, keyof CliStore> = {
    lxcPath,
    ok: async (...args) => {
      const result = await at.delta0(WITH_LXC_PATH.has(args[0] ?? "") ? [...args, "-P", lxcPath] : args);
      assert.equal(result.code, 0, `delta0 ${args.join(" ")}: ${result.stderr}`);
      return result;
    },
    lxc,
    attach: (name, script) =>
      lxc("lxc-attach", name, "--clear-env", "-v", `PATH=${PATH}`, "--", "/bin/sh", "-c", script),
    state: async (name) => (await lxc("lxc-info", name, "-s", "-H")).trim(),
    mounted: async (name, look) => {
      const config = await run("grep", ["^lxc.rootfs.path", `${lxcPath}/${name}/config`]);
      const [, lower = "", upper = ""] = /= overlay:(.*):(\/.*)\n/.exec(config) ?? [];
      const view = `${at.path}/view-${name}`;
      mkdirSync(view);
      await run("mount", ["-t", "overlay", "overlay", "-o", `ro,lowerdir=${upper}:${lower}`, view]);
      try {
        return await look(view);
      } finally {
        await run("umount", [view]);
        await run("rmdir", [view]);
      }
    },
  };
  return {
    ...at,
    ...host,
    [Symbol.asyncDispose]: async () => {
      const names = existsSync(lxcPath) ? readdirSync(lxcPath).filter((name) => !name.startsWith(".")) : [];
      // Most are stopped already, which lxc-stop calls a failure.
      for (const name of names) await lxc("lxc-stop", name, "-k").catch(() => undefined);
      await at[Symbol.asyncDispose]();
    },
  };
}

/** Waits until systemd has started all. @returns "running" if nothing of it failed */
export async function booted(at: LxcHost, name: string): Promise<string> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    // It exits with 1 for all but "running", and attaching fails until there is a bus.
    const state = await at.attach(name, "systemctl is-system-running || true").catch(() => "");
    if (["running", "degraded", "maintenance"].includes(state.trim())) return state.trim();
    await sleep(200);
  }
  return `not after a minute; its log: ${logOf(at, name)}`;
}

function logOf(at: LxcHost, name: string): string {
  const file = `${at.lxcPath}/${name}/delta0.log`;
  return lstatSync(file, { throwIfNoEntry: false }) ? readFileSync(file, "utf8") : "none";
}

/** The smallest root filesystem that starts: one program. */
export async function busyboxRootfs(directory: string): Promise<string> {
  for (const name of ["bin", "dev", "proc", "sys", "tmp", "root", "etc"])
    mkdirSync(`${directory}/${name}`, { recursive: true });
  await run("cp", ["/usr/bin/busybox", `${directory}/bin/busybox`]);
  const applets = ["sh", "sleep", "cat", "mkdir", "rm", "echo", "ls", "mv", "ln", "chmod", "seq", "touch", "sync"];
  for (const applet of applets) await run("ln", ["-s", "busybox", `${directory}/bin/${applet}`]);
  return directory;
}

/** For a root filesystem without an init. */
export const SLEEP: readonly string[] = ["--set", "lxc.init.cmd=/bin/sleep 1000"];

/** Where newuidmap is installed, root needs an entry for the ids that he gives containers. It stays: other tests use it at the same time. */
export function allowIds(): void {
  for (const file of ["/etc/subuid", "/etc/subgid"]) {
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    if (hasCommand("newuidmap") && !/^root:100000:65536$/m.test(text)) appendFileSync(file, "root:100000:65536\n");
  }
}

const WITH_LXC_PATH: ReadonlySet<string> = new Set(["create", "clone"]);
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
