import type { XattrEncoding } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import type { Option } from "../options.ts";
import { withStore } from "../session.ts";
import { visible } from "../text.ts";
import { confirmChanged } from "./change.ts";

const NO_DEREFERENCE: Option = { flags: "-h, --no-dereference", description: "of a symlink itself" };
const ENCODINGS: readonly XattrEncoding[] = ["text", "hex", "base64"];

/** Extended attributes: of any ref to look at, of containers to change. */
export const xattrCommands: readonly Command[] = [
  {
    name: "xattr list",
    args: ["REF:/PATH…"],
    summary: "the names of files' extended attributes",
    options: [NO_DEREFERENCE],
    run: async (call) => {
      const items = await withStore(call, (context, api) => api.listXattrs(context, filesOf(call, call.args)));
      await call.output.show("xattr-list", { items }, () =>
        items.flatMap(({ ref, path, attributes }) =>
          attributes.map((name) => (items.length === 1 ? visible(name) : visible(`${ref}:${path} ${name}`))),
        ),
      );
      return 0;
    },
  },
  {
    name: "xattr get",
    args: ["ATTRIBUTE", "REF:/PATH…"],
    summary: "the value of an extended attribute",
    options: [
      { flags: "--encoding <FORM>", description: "how it is written (default: text, or base64)", choices: ENCODINGS },
      NO_DEREFERENCE,
    ],
    details: "It is written as xattr set takes it.",
    run: async (call) => {
      const [attribute = "", ...paths] = call.args;
      const encoding = ENCODINGS.find((known) => known === call.options.text("encoding"));
      const params = { attribute, ...(encoding && { encoding }), ...filesOf(call, paths) };
      const items = await withStore(call, (context, api) => api.getXattr(context, params));
      await call.output.show("xattr-get", { attribute, items }, () =>
        items.map(({ ref, path, value }) => (items.length === 1 ? value : `${visible(`${ref}:${path}`)} ${value}`)),
      );
      return 0;
    },
  },
  {
    name: "xattr set",
    args: ["ATTRIBUTE", "VALUE", "NAME:/PATH…"],
    summary: "set an extended attribute of files in containers",
    options: [NO_DEREFERENCE],
    details:
      "VALUE is text, text in double quotes with escapes, 0x and hex digits, or 0s and base64, as setfattr takes it.",
    run: async (call) => {
      const [attribute = "", value = "", ...paths] = call.args;
      const params = { attribute, value, ...filesOf(call, paths) };
      const changed = await withStore(call, (context, api) => api.setXattr(context, params));
      return await confirmChanged(call, "xattr-set", changed, ({ ref, path }) => `${ref}:${path} has ${attribute}`);
    },
  },
  {
    name: "xattr remove",
    args: ["ATTRIBUTE", "NAME:/PATH…"],
    summary: "remove an extended attribute of files in containers",
    options: [NO_DEREFERENCE],
    run: async (call) => {
      const [attribute = "", ...paths] = call.args;
      const params = { attribute, ...filesOf(call, paths) };
      const changed = await withStore(call, (context, api) => api.removeXattr(context, params));
      return await confirmChanged(
        call,
        "xattr-remove",
        changed,
        ({ ref, path }) => `${ref}:${path} has no ${attribute} any more`,
      );
    },
  },
];

function filesOf(
  { options }: Call,
  paths: readonly string[],
): { readonly paths: readonly string[]; readonly noDereference: boolean } {
  return { paths, noDereference: options.refused("dereference") };
}
