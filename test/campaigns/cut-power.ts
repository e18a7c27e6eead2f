import { mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { shutdownSwitch } from "../root/power-cut.ts";
import { loopFilesystem } from "../support/loop.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { Site } from "./cut-site.ts";
import type { Ending } from "./cut-site.ts";

export const POWER_VERBS: readonly string[] = [
  ...["import", "import of a tar", "create", "clone", "capture", "commit", "gc", "export", "export of a tar", "rm"],
  ...["rollback", "rename", "put", "pre-start", "clone --copy", "snapshot", "rm --now", "backup", "a view's writing"],
  ...["lxc adopt --convert", "unexport", "undo", "copy", "receive"],
];

export interface Cuts {
  readonly filesystem: "ext4" | "xfs";
  readonly count: number;
  readonly from?: number;
  readonly verbs?: readonly string[];
  /** Told after each: before which step it came, of how many; undefined where it came at a random time. */
  readonly onCut?: (cut: number, verb: string, at: { readonly step: number; readonly of: number } | undefined) => void;
}

/**
 * Cuts the power of a filesystem of its own in the midst of commands, mounts it again, and checks the store after each cut. Cuts are spread
 * over all steps of each command, steps being what it does to files, directories and databases, and each sync of these; one in four
 * comes at a random time, as while LevelDB writes a table.
 *
 * @throws {Error} at the first that leaves what must not be
 */
export async function cutMany({ filesystem: kind, count, from = 1, verbs = POWER_VERBS, onCut }: Cuts): Promise<void> {
  await using filesystem = await loopFilesystem(kind, 512);
  await using elsewhere = await temporaryDirectory();
  const mountPoint = filesystem.path;
  const path = `${mountPoint}/site`;
  mkdirSync(path);
  using site = new Site(path, elsewhere.path);
  const known = new Map<string, Facts>();
  for (let cut = 0; cut < count; cut++) {
    const verb = verbs[(from + cut) % verbs.length] ?? "";
    const facts = known.get(verb) ?? { steps: undefined, ms: GUESSED_MS, cuts: 0 };
    known.set(verb, facts);
    // By the golden ratio: however many cuts there are, they lie evenly over the steps.
    const step = 1 + Math.floor(((facts.cuts++ * 0.618_034) % 1) * ((facts.steps ?? GUESSED_STEPS) + 1));
    const isTimed = cut % 4 === 3;
    const ending = isTimed ? timed(mountPoint, Math.random() * 1.2 * facts.ms) : atStep(mountPoint, step);
    const isCollecting = verb === "gc" || verb === "rm --now" || cut % 8 === 0;
    const options = { isPowerCut: true, isCollecting };
    const { done } = await site.cut(verb, from + cut, { ...ending, after: filesystem.remount }, options);
    if (done !== undefined) learn(facts, done);
    // What the check did itself is not to be cut.
    await run("sync", ["-f", mountPoint]);
    onCut?.(cut + 1, verb, isTimed ? undefined : { step, of: facts.steps ?? GUESSED_STEPS });
  }
}

/** Of a kind of command. */
interface Facts {
  /** The most that one took. */
  steps: number | undefined;
  ms: number;
  cuts: number;
}

function learn(facts: Facts, { ms, steps }: { readonly ms: number; readonly steps: number }): void {
  facts.ms = ms;
  facts.steps = Math.max(facts.steps ?? 0, steps);
}

/** More than most have: the first that come to their end tell. */
const GUESSED_STEPS = 400;
const GUESSED_MS = 200;

function atStep(mountPoint: string, step: number): Ending {
  return { args: [mountPoint, String(step)], end: (_actor, closed) => closed };
}

function timed(mountPoint: string, delay: number): Ending {
  return {
    args: [mountPoint, "0"],
    end: async (actor) => {
      const cutPower = shutdownSwitch(mountPoint);
      await sleep(delay);
      // It is not to see that the filesystem fails.
      actor.kill("SIGSTOP");
      cutPower();
      actor.kill("SIGKILL");
    },
  };
}
