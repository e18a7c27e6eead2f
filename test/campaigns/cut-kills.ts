import { setTimeout as sleep } from "node:timers/promises";
import { NAME_COMMANDS } from "./cut-commands.ts";
import { FILE_COMMANDS } from "./cut-file-commands.ts";
import { Site } from "./cut-site.ts";
import type { Ending } from "./cut-site.ts";

export const VERBS: readonly string[] = [...Object.keys(NAME_COMMANDS), ...Object.keys(FILE_COMMANDS)];

export interface Kills {
  readonly count: number;
  /** The first seed. One says with which command and names an actor works, but not when it is killed. */
  readonly from?: number;
  readonly verbs?: readonly string[];
  /** Told after each. */
  readonly onKill?: (kill: number, verb: string, isInside: boolean) => void;
}

/** How many came inside of each command. */
export type Tally = ReadonlyMap<string, number>;

/**
 * Kills commands, each kind in its turn, some time after they begin, and checks the store after each kill.
 *
 * @throws {Error} at the first that leaves what must not be
 */
export async function killMany(path: string, { count, from = 1, verbs = VERBS, onKill }: Kills): Promise<Tally> {
  using site = new Site(`${path}/site`, `${path}/elsewhere`);
  const usual = new Map<string, number>();
  const inside = new Map<string, number>();
  for (let kill = 0; kill < count; kill++) {
    const verb = verbs[(from + kill) % verbs.length] ?? "";
    const delay = Math.random() * 1.2 * (usual.get(verb) ?? GUESSED_MS);
    const isCollecting = verb === "gc" || verb === "rm --now" || kill % 16 === 0;
    const after = async (): Promise<void> => {
      if (kill + 1 < count) site.makeReady(verbs[(from + kill + 1) % verbs.length] ?? "", from + kill + 1);
    };
    const { cut, done } = await site.cut(
      verb,
      from + kill,
      { ...killed(delay), after },
      { isPowerCut: false, isCollecting },
    );
    if (done !== undefined) usual.set(verb, done.ms);
    if (cut !== undefined) inside.set(cut.verb, (inside.get(cut.verb) ?? 0) + 1);
    onKill?.(kill + 1, verb, cut?.verb === verb);
  }
  return inside;
}

const GUESSED_MS = 200;

function killed(delay: number): Ending {
  return {
    args: [],
    end: async (actor) => {
      await sleep(delay);
      actor.kill("SIGKILL");
    },
  };
}
