import { StoreError } from "../errors.ts";
import { formatConfig, settingsOf } from "../lxc/config-file.ts";
import type { Setting } from "../lxc/config-file.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import { withIdMap } from "../lxc/id-map-config.ts";
import type { Context } from "./context.ts";
import { lxcPathFor, newConfig, rootfsFor } from "./lxc-host.ts";
import { requireContainer } from "./references.ts";
import { standingOf } from "./standing.ts";

export interface LxcConfig {
  readonly name: string;
  /** The config file that they make. */
  readonly text: string;
  readonly settings: readonly Setting[];
}

/** The keys that a container's LXC config would get if it were made now: its own may have others by now. */
export async function lxcConfig({ store }: Context, { name }: { readonly name: string }): Promise<LxcConfig> {
  const ref = await requireContainer(store, name);
  const lxcPath = ref.lxcPath ?? lxcPathFor(store, {});
  if (lxcPath === null)
    throw new StoreError("REFUSED", {
      reason: `${name} has no LXC directory, and there is no LXC path where it could get one`,
      hint: "name one: delta0 config lxc.path DIR",
    });
  const stack = standingOf(store, ref, lxcPath, readContainerDirectory(`${lxcPath}/${name}`));
  const config = withIdMap(newConfig(store, name, rootfsFor(store, lxcPath, name, stack), {}), ref.idMap);
  return { name, text: formatConfig(config).toString(), settings: settingsOf(config) };
}
