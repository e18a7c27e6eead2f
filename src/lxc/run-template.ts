import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, readdirSync } from "node:fs";
import { basename } from "node:path";
import { errnoOf, StoreError } from "../errors.ts";
import { templateDirectory } from "./template-script.ts";

export interface TemplateRun {
  /** As the template is told; all of it is its to write. */
  readonly path: string;
  readonly name: string;
  readonly rootfs: string;
  readonly args: readonly string[];
  readonly signal?: AbortSignal | undefined;
  /** It has said something. */
  readonly onOutput?: () => void;
}

/**
 * The script that lxc-create would run.
 *
 * @param template its name, or an absolute path
 * @throws {StoreError} NOT_FOUND, naming those that there are; NOT_PERMITTED
 */
export function findTemplate(template: string): string {
  const directory = templateDirectory();
  const script = template.startsWith("/") ? template : `${directory ?? ""}/${PREFIX}${template}`;
  try {
    accessSync(script, constants.X_OK);
    return script;
  } catch (error) {
    if (errnoOf(error) === "EACCES")
      throw new StoreError("NOT_PERMITTED", { action: `running ${script}`, hint: "make it executable" });
    if (directory === undefined)
      throw new StoreError("NOT_FOUND", { what: `no template "${template}"`, hint: "install LXC, or name a path" });
    const known = readdirSync(directory).flatMap((name) => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : []));
    throw new StoreError("NOT_FOUND", { what: `no template "${template}"`, hint: `there are: ${known.join(", ")}` });
  }
}

/**
 * Runs a template as lxc-create does, for ids as they are inside.
 *
 * @throws {StoreError} PROGRAM_FAILED with the last that it said; the signal's reason
 */
export async function runTemplate(script: string, options: TemplateRun): Promise<void> {
  const { path, name, rootfs, args, signal, onOutput } = options;
  // What it mounts and forgets is gone with it, before anybody deletes what lies below.
  const namespace = ["--mount", "--propagation", "slave", "--", script];
  const child = spawn("unshare", [...namespace, `--path=${path}`, `--name=${name}`, `--rootfs=${rootfs}`, ...args], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes: Buffer) => {
      said = (said + bytes.toString("utf8")).slice(-MOST_SAID);
      onOutput?.();
    });
  }
  // With all that it has started.
  const end = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  };
  signal?.addEventListener("abort", end, { once: true });
  try {
    const status = await ended(child);
    signal?.throwIfAborted();
    if (status === 0) return;
    const last = said.trimEnd().split("\n").slice(-3).join("; ");
    const ending = status === null ? "was ended by a signal" : `ended with ${status}`;
    throw new StoreError("PROGRAM_FAILED", { program: basename(script), reason: `${ending}${last && `: ${last}`}` });
  } finally {
    signal?.removeEventListener("abort", end);
  }
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on("close", resolve);
    child.on("error", reject);
  });
}

const PREFIX = "lxc-";
const MOST_SAID = 2000;
