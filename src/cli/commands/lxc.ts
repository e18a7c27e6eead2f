import { StoreError } from "../../errors.ts";
import type { HookParams } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { failureOf, failureText } from "../failure.ts";
import { withStore } from "../session.ts";
import { formatSeconds, visible } from "../text.ts";

/** What works with LXC's own, and what LXC calls. */
export const lxcCommands: readonly Command[] = [
  {
    name: "lxc hooks install",
    args: [],
    summary: "write the hooks of containers anew, where delta0 or Node has moved",
    run: async (call) => {
      const directory = await withStore(call, async ({ store }, { installHooks }) => {
        installHooks(store);
        return store.paths.lxc;
      });
      await call.output.confirm("lxc-hooks-install", { directory }, () => [`hooks: ${visible(directory)}`]);
      return 0;
    },
  },
  {
    name: "lxc hook",
    args: ["HOOK"],
    summary: "pre-start or post-stop of a container: LXC says in its environment of which",
    hidden: true,
    run: async (call) => {
      const [hook] = call.args;
      if (hook === "pre-start") return await preStart(call);
      if (hook === "post-stop") return await postStop(call);
      throw new StoreError("USAGE", { reason: `"${hook ?? ""}" is no hook`, hint: "pre-start or post-stop" });
    },
  },
];

async function preStart(call: Call): Promise<number> {
  const began = performance.now();
  const params = hookParams();
  await withStore(call, (context, api) => api.preStart(context, params));
  say(`made ready in ${formatSeconds((performance.now() - began) / 1000)}`);
  return 0;
}

/** Never the reason for a container not to stop: what is not captured now, the next command captures. */
async function postStop(call: Call): Promise<number> {
  if (process.env["LXC_TARGET"] === "reboot") return 0;
  const began = performance.now();
  try {
    const params = hookParams();
    await withStore(call, (context, api) => api.postStop(context, params), { waitSeconds: POST_STOP_WAIT_SECONDS });
    say(`captured in ${formatSeconds((performance.now() - began) / 1000)}`);
  } catch (error) {
    say(`not captured, the next command will do it: ${failureText(failureOf(error))}`);
  }
  return 0;
}

/** lxc-stop waits for it. */
const POST_STOP_WAIT_SECONDS = 5;

/** The line that our hook script writes into the container's log. */
function say(line: string): void {
  process.stderr.write(`${visible(line)}\n`);
}

function hookParams(): HookParams {
  const configFile = process.env["LXC_CONFIG_FILE"];
  const rootfsPath = process.env["LXC_ROOTFS_PATH"];
  if (configFile === undefined || rootfsPath === undefined)
    throw new StoreError("USAGE", { reason: "LXC_CONFIG_FILE or LXC_ROOTFS_PATH is not set", hint: "LXC sets them" });
  return { configFile, rootfsPath };
}
