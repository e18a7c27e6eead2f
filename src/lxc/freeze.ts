import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { StoreError } from "../errors.ts";
import { callFailure, type LxcPlace, reasonIn } from "./lxc-calls.ts";
import { said } from "./lxc-programs.ts";

/** A container in which nothing goes on. */
export interface Frozen {
  /** Lets it go on, unless it was frozen before. @throws {StoreError} PROGRAM_FAILED if it is still frozen then */
  thaw(): Promise<void>;
}

/** True while nothing goes on in it: what it was told to do is done, or waits. */
export function isFrozen({ lxcPath, name }: LxcPlace): boolean {
  return stateOf({ lxcPath, name }) === "FROZEN";
}

/**
 * Freezes a container. It goes on when it is thawed, and also when this process is gone, however that happens.
 *
 * @throws {StoreError} PROGRAM_FAILED if it does not run, or is not frozen after half a minute; UNSUPPORTED without LXC
 */
export async function freezeContainer(place: LxcPlace): Promise<Frozen> {
  // Whoever froze it wants to find it so.
  if (isFrozen(place)) return { thaw: () => Promise.resolve() };
  const { lxcPath, name } = place;
  const directory = mkdtempSync(`${tmpdir()}/delta0-`);
  // In a session of its own: what kills this process by a terminal or its group spares it.
  const guard = spawn("/bin/sh", ["-c", SCRIPT, "delta0-freeze", lxcPath, name, directory], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
  });
  const ended = once(guard, "exit");
  // Whoever waits for it is told; until then nobody is.
  ended.catch(() => undefined);
  const timer = setTimeout(() => killGroup(guard), FREEZE_SECONDS * 1000);
  const thaw = async (): Promise<void> => {
    guard.stdin.end();
    await ended;
    if (!["FROZEN", "FREEZING"].includes(stateOf(place) ?? "")) return;
    // Somebody has killed the guard.
    said("lxc-unfreeze", ["-P", lxcPath, "-n", name]);
    if (!isFrozen(place)) return;
    throw new StoreError("PROGRAM_FAILED", {
      program: "lxc-unfreeze",
      reason: `${name} is still frozen`,
      hint: `lxc-unfreeze -P ${lxcPath} -n ${name}`,
    });
  };
  try {
    const status = await firstLine(guard);
    clearTimeout(timer);
    if (status === "0" && isFrozen(place)) return { thaw };
    const failure =
      status === NO_PROGRAM
        ? new StoreError("UNSUPPORTED", { what: "no lxc-freeze here", hint: "install LXC" })
        : callFailure("lxc-freeze", place, status === "" ? null : Number(status), reasonIn(`${directory}/log`));
    await thaw();
    throw failure;
  } catch (error) {
    clearTimeout(timer);
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

/**
 * It freezes, says how that went, and waits for its input to end: the kernel sees to that if this process is gone. Only then, with
 * the freezing surely over, it thaws.
 */
const SCRIPT = `trap : HUP INT TERM
log() { "$@" -q -l ERROR -o "$directory/log"; }
path=$1 name=$2 directory=$3
log lxc-freeze -P "$path" -n "$name"
echo $?
read -r _
log lxc-unfreeze -P "$path" -n "$name"
rm -rf "$directory"`;
const FREEZE_SECONDS = 30;
/** What a shell says of a program that is not there. */
const NO_PROGRAM = "127";

async function firstLine(guard: ChildProcess): Promise<string> {
  if (guard.stdout === null) throw new Error("a guard without an output");
  for await (const line of createInterface(guard.stdout)) return line;
  return "";
}

/** The program that the guard waits for, not the guard itself. */
function killGroup({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, "SIGTERM");
}

function stateOf({ lxcPath, name }: LxcPlace): string | undefined {
  return said("lxc-info", ["-P", lxcPath, "-n", name, "-s", "-H"]);
}
