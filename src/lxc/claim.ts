import { errnoOf } from "../errors.ts";
import { type Lock, tryLockDirectory } from "../sys/lock.ts";

/**
 * Takes a container in charge: as long as the claim is held, its post-stop hook leaves the capture to its holder, and what
 * removes stopped containers leaves it alone. It ends with its holder, by a kill too. It keeps nobody from starting or
 * stopping the container.
 *
 * @returns undefined if somebody else has it, or there is no such directory
 */
export function claimContainer(directory: string): Lock | undefined {
  try {
    return tryLockDirectory(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
