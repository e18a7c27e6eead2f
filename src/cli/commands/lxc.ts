import { StoreError } from "../../errors.ts";
import type { HookParams } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { withStore } from "../session.ts";
import { visible } from "../text.ts";

/** What works with LXC's own, and what LXC calls. */
export const lxcCommands: readonly Command[] = [
  {
    name: "lxc identity",
    args: ["NAME"],
    nameAt: 0,
    summary: "make a stopped container a machine of its own",
    details: "Its config gets the container's name and new MAC addresses now, its files all else at its next start.",
    run: async (call) => {
      const [name = ""] = call.args;
      const renewed = await withStore(call, (context, { identity }) => identity(context, { name }));
      await call.output.confirm("lxc-identity", renewed, () => [
        renewed.atNextStart ? `${visible(name)}: a new identity at its next start` : `${visible(name)}: in its config`,
      ]);
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
  const params = hookParams();
  await withStore(call, (context, api) => api.preStart(context, params));
  return 0;
}

/** What is not captured now, the next command captures: our hook script says so, and lets the container stop. */
async function postStop(call: Call): Promise<number> {
  if (process.env["LXC_TARGET"] === "reboot") return 0;
  const params = hookParams();
  await withStore(call, (context, api) => api.postStop(context, params), { waitSeconds: POST_STOP_WAIT_SECONDS });
  return 0;
}

/** lxc-stop waits for it. */
const POST_STOP_WAIT_SECONDS = 5;

function hookParams(): HookParams {
  const configFile = process.env["LXC_CONFIG_FILE"];
  const rootfsPath = process.env["LXC_ROOTFS_PATH"];
  if (configFile === undefined || rootfsPath === undefined)
    throw new StoreError("USAGE", { reason: "LXC_CONFIG_FILE or LXC_ROOTFS_PATH is not set", hint: "LXC sets them" });
  return { configFile, rootfsPath };
}
