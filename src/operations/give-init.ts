import { StoreError } from "../errors.ts";
import { getValue, setValue, writeConfig } from "../lxc/config-file.ts";
import type { Digest } from "../model/digest.ts";
import { byteStringOf } from "../model/name.ts";
import { Resolver } from "../overlay/resolver.ts";
import type { Context } from "./context.ts";
import type { Runnable } from "./running.ts";

/**
 * Has a container that lacks the init of its config run something that waits in its place.
 *
 * @throws {StoreError} REFUSED if it has nothing of the kind
 */
export function giveInit({ store }: Context, { name, directory, found }: Runnable, tree: Digest): void {
  const { config } = found;
  const resolver = new Resolver(store.lowers.get(tree));
  const isThere = (command: string): boolean => {
    const [program = ""] = command.split(" ");
    return typeof resolver.resolveBytes(byteStringOf(program), true) !== "string";
  };
  if (isThere(getValue(config, INIT_KEY) ?? DEFAULT_INIT)) return;
  const waiting = WAITING.find(isThere);
  if (waiting === undefined)
    throw new StoreError("REFUSED", {
      reason: `${name} has neither an init nor sleep`,
      hint: `name a program in it that runs until it is killed: --set ${INIT_KEY}=CMD`,
    });
  writeConfig(`${directory}/config`, setValue(config, INIT_KEY, waiting));
}

const INIT_KEY = "lxc.init.cmd";
/** LXC's own. */
const DEFAULT_INIT = "/sbin/init";
const WAITING = ["/bin/sleep", "/usr/bin/sleep", "/bin/busybox sleep"].map((sleep) => `${sleep} ${2 ** 31 - 1}`);
