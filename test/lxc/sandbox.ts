import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { DELTA0_WORDS } from "../support/cli.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

export interface Said {
  readonly code: number | null;
  /** Standard output and standard error, as they came. */
  readonly output: string;
}

/**
 * This host with a `delta0` in its PATH, and with a store, an LXC path, LXC's templates, and files of /etc that a test may change, all of
 * its own: commands as people type them leave the host as it is. It is a mount namespace.
 */
export interface Sandbox extends AsyncDisposable {
  /** Where its commands begin. */
  readonly home: string;
  readonly run: (script: string) => Promise<Said>;
}

export async function openSandbox(): Promise<Sandbox> {
  const directory = await temporaryDirectory();
  const { path } = directory;
  for (const name of ["home", "bin", "lxc", "etc", "etc/lxc"]) mkdirSync(`${path}/${name}`);
  writeFileSync(`${path}/bin/delta0`, `#!/bin/sh\nexec ${DELTA0_WORDS} "$@"\n`, { mode: 0o755 });
  writeFileSync(`${path}/etc/lxc/lxc.conf`, `lxc.lxcpath = ${path}/lxc\n`);
  writeFileSync(`${path}/etc/lxc/default.conf`, DEFAULT_CONFIG);
  const shown: [from: string, at: string][] = [[`${path}/etc/lxc`, "/etc/lxc"]];
  for (const file of ["subuid", "subgid"]) {
    if (!existsSync(`/etc/${file}`)) continue;
    copyFileSync(`/etc/${file}`, `${path}/etc/${file}`);
    shown.push([`${path}/etc/${file}`, `/etc/${file}`]);
  }
  if (existsSync(TEMPLATES)) {
    await run("cp", ["-a", TEMPLATES, `${path}/templates`]);
    shown.push([`${path}/templates`, TEMPLATES]);
  }
  const mounts = shown.map(([from, at]) => `mount --bind ${from} ${at}`).join(" && ");
  const holder = spawn("unshare", ["--mount", "sh", "-c", `${mounts} && echo ready && exec cat`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(holder, "exit");
  await Promise.race([once(holder.stdout, "data"), ended.then(() => Promise.reject(new Error("no mount namespace")))]);
  const runInside = async (script: string): Promise<Said> => {
    const inside = ["--mount", "-t", String(holder.pid), `--wd=${path}/home`, "bash", "-c", script];
    const { HOME: _, ...env } = process.env;
    const child = spawn("nsenter", inside, {
      env: {
        ...env,
        HOME: `${path}/home`,
        PATH: `${path}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
        DELTA0_STORE: `${path}/store`,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const pieces: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => pieces.push(bytes));
    const [code] = (await once(child, "close")) as [number | null];
    return { code, output: Buffer.concat(pieces).toString("utf8") };
  };
  return {
    home: `${path}/home`,
    run: runInside,
    [Symbol.asyncDispose]: async () => {
      await runInside("for name in $(lxc-ls -1 --running); do lxc-stop -n $name -k; done");
      holder.stdin.end();
      await ended;
      await directory[Symbol.asyncDispose]();
    },
  };
}

const TEMPLATES = "/usr/share/lxc/templates";

/** For lxc-create: no network, as there is no bridge. */
const DEFAULT_CONFIG = `lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
`;
