import { StoreError } from "../../errors.ts";
import type { HooksChanged, TemplateChanged } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { IDENTITY_OPTION, identityOf, parseLabels } from "../options.ts";
import type { Option } from "../options.ts";
import { withStore } from "../session.ts";
import { digestText, shortDigest, visible } from "../text.ts";

const DRY_RUN: Option = { flags: "--dry-run", description: "say what would be done, and do nothing" };
const TEMPLATE_OPTIONS: readonly Option[] = [
  { flags: "--dir <DIR>", description: "where templates are (default: where lxc-create looks for them)" },
  DRY_RUN,
];

/** What a host's LXC has of delta0, and what it should have. */
export const lxcSetupCommands: readonly Command[] = [
  {
    name: "lxc hooks install",
    args: [],
    summary: "write the hooks of containers anew, where delta0 or Node has moved",
    options: [DRY_RUN],
    run: async (call) => {
      const dryRun = call.options.flag("dryRun");
      const done = await withStore(call, (context, { installHooks }) => installHooks(context, { dryRun }));
      await confirmHooks(call, "lxc-hooks-install", done, dryRun ? "would be written" : "written");
      return 0;
    },
  },
  {
    name: "lxc hooks remove",
    args: [],
    summary: "take the hooks away, once no container's config takes them in",
    options: [DRY_RUN],
    run: async (call) => {
      const dryRun = call.options.flag("dryRun");
      const done = await withStore(call, (context, { removeHooks }) => removeHooks(context, { dryRun }));
      await confirmHooks(call, "lxc-hooks-remove", done, dryRun ? "would be removed" : "removed");
      return 0;
    },
  },
  {
    name: "lxc template install",
    args: [],
    summary: "have lxc-create -t delta0 make containers of this store",
    options: TEMPLATE_OPTIONS,
    details: `Then: lxc-create -t delta0 -n NAME -- --image REF
With --dir: lxc-create -t DIR/lxc-delta0 -n NAME -- --image REF`,
    run: async (call) => {
      const done = await withStore(call, (context, api) => api.installTemplate(context, templateParams(call)));
      await confirmTemplate(call, "lxc-template-install", done, "written");
      return 0;
    },
  },
  {
    name: "lxc template remove",
    args: [],
    summary: "take that away; the containers stay",
    options: TEMPLATE_OPTIONS,
    run: async (call) => {
      const done = await withStore(call, (context, api) => api.removeTemplate(context, templateParams(call)));
      await confirmTemplate(call, "lxc-template-remove", done, "removed");
      return 0;
    },
  },
  {
    name: "lxc config",
    args: ["NAME"],
    nameAt: 0,
    summary: "the keys that a container's LXC config would get if it were made now",
    run: async (call) => {
      const [name = ""] = call.args;
      const { text, ...document } = await withStore(call, (context, api) => api.lxcConfig(context, { name }));
      await call.output.show("lxc-config", document, () => text.trimEnd().split("\n").map(visible));
      return 0;
    },
  },
  {
    name: "lxc repair",
    args: ["NAME"],
    nameAt: 0,
    summary: "bring a stopped container's LXC directory in line with the store, whatever was done to it",
    details: "A directory, a config, a delta0 that is gone is made anew as the container was last captured.",
    run: async (call) => {
      const [name = ""] = call.args;
      const done = await withStore(call, (context, api) => api.repairContainer(context, { name }));
      await call.output.confirm("lxc-repair", done, () => [
        `${visible(name)}: ${done.repaired.length > 0 ? `made anew: ${done.repaired.join(", ")}` : "as it should be"}`,
      ]);
      return 0;
    },
  },
  {
    name: "lxc template run",
    args: [],
    summary: "make the container for which lxc-create has made a directory; lxc-create calls this",
    options: [
      { flags: "--image <REF>", description: "the layer, container, snapshot or digest that it begins as" },
      { flags: "--label <K=V>", description: "a label, to find it by", repeat: true },
      IDENTITY_OPTION,
      { flags: "--path <DIR>", description: "by lxc-create: the directory" },
      { flags: "--name <NAME>", description: "by lxc-create: the name" },
      { flags: "--rootfs <DIR>", description: "by lxc-create: not used" },
      { flags: "--mapped-uid <ID>", description: "by lxc-create: not used" },
      { flags: "--mapped-gid <ID>", description: "by lxc-create: not used" },
    ],
    hidden: true,
    run: runTemplate,
  },
];

async function confirmHooks(call: Call, verb: string, done: HooksChanged, what: string): Promise<void> {
  const { directory, changed } = done;
  await call.output.confirm(verb, done, () => [
    changed.length > 0
      ? `hooks: ${what}: ${changed.map((name) => visible(`${directory}/${name}`)).join(", ")}`
      : `hooks: nothing to do in ${visible(directory)}`,
  ]);
}

function templateParams({ options }: Call): { readonly directory?: string; readonly dryRun: boolean } {
  return { ...options.pathAs("directory", "dir"), dryRun: options.flag("dryRun") };
}

async function confirmTemplate(call: Call, verb: string, done: TemplateChanged, what: string): Promise<void> {
  const would = call.options.flag("dryRun") ? "would be " : "";
  await call.output.confirm(verb, done, () => [
    done.changed
      ? `template: ${would}${what}: ${visible(done.file)}`
      : `template: nothing to do for ${visible(done.file)}`,
  ]);
}

async function runTemplate(call: Call): Promise<number> {
  const { options } = call;
  const image = options.text("image");
  if (image === undefined)
    throw new StoreError("USAGE", {
      reason: "which layer or container it is to begin as is not said",
      hint: "lxc-create -t delta0 -n NAME -- --image REF",
    });
  const params = {
    image,
    name: options.text("name") ?? "",
    path: options.text("path") ?? "",
    labels: parseLabels(options.list("label")),
    ...identityOf(options),
  };
  const made = await withStore(call, (context, api) => api.lxcCreate(context, params));
  await call.output.confirm("lxc-create", { ...made, digest: digestText(made.digest) }, () => [
    `${visible(made.name)}: ${visible(image)}, ${shortDigest(made.digest)}…`,
  ]);
  return 0;
}
