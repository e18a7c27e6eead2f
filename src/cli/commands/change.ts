import type { ChangedContainer } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import type { Option } from "../options.ts";
import { standardInput, withStore } from "../session.ts";
import { count, digestText, formatBytes, visible } from "../text.ts";

const NO_TARGET_DIRECTORY: Option = {
  flags: "-T, --no-target-directory",
  description: "the last path is the name itself, also if a directory has it",
};

const AT_ONCE = "All paths of a call change at once, or none of them does. A running container is refused.";

/** What changes the files of containers, without exporting or starting them. */
export const changeCommands: readonly Command[] = [
  {
    name: "put",
    args: ["SRC…", "NAME:/PATH"],
    summary: "copy files and directories of this host in, with owners, times, attributes and links",
    options: [NO_TARGET_DIRECTORY],
    long: true,
    details:
      "A directory at PATH takes them in, else one SRC gets this name. Directories merge, files are replaced. Of SRC/. the\n" +
      "content goes in; - is standard input, for a file.",
    run: put,
  },
  {
    name: "mkdir",
    args: ["NAME:/PATH…"],
    summary: "make directories in containers",
    options: [
      { flags: "-p, --parents", description: "those above too; those that are there stay as they are" },
      { flags: "-m, --mode <MODE>", description: "as chmod takes it" },
    ],
    details: AT_ONCE,
    run: async (call) => {
      const { args: paths, options } = call;
      const params = { paths, parents: options.flag("parents"), ...options.textAs("mode") };
      const changed = await withStore(call, (context, api) => api.makeDirectories(context, params));
      return await confirmChanged(call, "mkdir", changed, ({ ref, path }) => `made ${ref}:${path}`);
    },
  },
  {
    name: "mv",
    args: ["NAME:/PATH…", "NAME:/TARGET"],
    summary: "move or rename files and directories within a container",
    options: [{ flags: "-n, --no-clobber", description: "replace nothing, fail instead" }, NO_TARGET_DIRECTORY],
    details: AT_ONCE,
    run: async (call) => {
      const [paths, target] = lastApart(call);
      const { options } = call;
      const params = { paths, target, noClobber: options.refused("clobber"), ...noTargetDirectory(call) };
      const changed = await withStore(call, (context, api) => api.moveFiles(context, params));
      return await confirmChanged(call, "mv", changed, ({ ref, path, to }) => `${ref}:${path} -> ${to}`);
    },
  },
  {
    name: "ln",
    args: ["TARGET…", "NAME:/LINK"],
    summary: "make hard links and symlinks in a container",
    options: [
      { flags: "-s, --symbolic", description: "symlinks: TARGET is where they lead, as text" },
      { flags: "-f, --force", description: "replace what is there and no directory" },
      NO_TARGET_DIRECTORY,
    ],
    details: "Without -s TARGET is a NAME:/PATH in the same container.",
    run: async (call) => {
      const [targets, path] = lastApart(call);
      const { options } = call;
      const flags = { symbolic: options.flag("symbolic"), force: options.flag("force"), ...noTargetDirectory(call) };
      const changed = await withStore(call, (context, api) => api.linkFiles(context, { targets, path, ...flags }));
      return await confirmChanged(call, "ln", changed, ({ ref, path: link, target }) =>
        flags.symbolic ? `${ref}:${link} -> ${target}` : `${ref}:${link} = ${target}`,
      );
    },
  },
  {
    name: "unlink",
    args: ["NAME:/PATH…"],
    summary: "remove files of containers",
    options: [
      { flags: "-r, --recursive", description: "directories too, with all that is in them" },
      { flags: "-f, --force", description: "what is not there is no failure" },
    ],
    details: AT_ONCE,
    run: async (call) => {
      const { args: paths, options } = call;
      const params = { paths, recursive: options.flag("recursive"), force: options.flag("force") };
      const changed = await withStore(call, (context, api) => api.unlinkFiles(context, params));
      return await confirmChanged(call, "unlink", changed, ({ ref, path }) => `removed ${ref}:${path}`);
    },
  },
  {
    name: "chmod",
    args: ["MODE", "NAME:/PATH…"],
    summary: "change modes of files in containers",
    options: [{ flags: "-R, --recursive", description: "of all below directories too, but symlinks" }],
    details: `MODE is octal or as u+x,g=rX; one that begins with a minus follows --. ${AT_ONCE}`,
    run: async (call) => {
      const [mode = "", ...paths] = call.args;
      const params = { paths, mode, recursive: call.options.flag("recursive") };
      const result = await withStore(call, (context, api) => api.chmodFiles(context, params));
      return await confirmChanged(call, "chmod", result, ({ ref, path, changed }) =>
        changed === 0 ? `${ref}:${path} has that mode` : `${ref}:${path}: ${count(changed, "mode")} changed`,
      );
    },
  },
  {
    name: "chown",
    args: ["OWNER", "NAME:/PATH…"],
    summary: "change owners of files in containers",
    options: [
      { flags: "-R, --recursive", description: "of all below directories too; no symlink is followed" },
      { flags: "-h, --no-dereference", description: "of a symlink itself" },
    ],
    details: `OWNER is USER, USER:GROUP, USER: or :GROUP. Names are the container's, not this host's. ${AT_ONCE}`,
    run: async (call) => {
      const [owner = "", ...paths] = call.args;
      const { options } = call;
      const params = {
        paths,
        owner,
        recursive: options.flag("recursive"),
        noDereference: options.refused("dereference"),
      };
      const changed = await withStore(call, (context, api) => api.chownFiles(context, params));
      return await confirmChanged(call, "chown", changed, ({ ref, path, uid, gid }) => `${ref}:${path}: ${uid}:${gid}`);
    },
  },
];

async function put(call: Call): Promise<number> {
  const [given, target] = lastApart(call);
  const input = given.includes("-") ? standardInput(call) : undefined;
  // Not resolved: a slash or "/." at the end says what is meant.
  const sources = given.map((source) =>
    source === "-" || source.startsWith("/") ? source : `${process.cwd()}/${source}`,
  );
  const params = { sources, target, ...noTargetDirectory(call) };
  const done = await withStore(call, (context, api) => api.put({ ...context, ...(input && { input }) }, params));
  await call.output.confirm("put", { ...done, digest: digestText(done.digest) }, () => {
    const [first = "", ...others] = done.paths;
    const place = others.length === 0 ? first : `${first} and ${others.length} more`;
    return [`${visible(`${done.name}:${place}`)}: ${count(done.entries, "entry")}, ${formatBytes(done.bytes)}`];
  });
  return 0;
}

/** Says what was done, one line for each path. @returns the exit code */
export async function confirmChanged<T extends object>(
  call: Call,
  verb: string,
  { items, containers }: { readonly items: readonly T[]; readonly containers: readonly ChangedContainer[] },
  describe: (item: T) => string,
): Promise<number> {
  const digests = containers.map(({ name, digest }) => ({ name, digest: digestText(digest) }));
  await call.output.confirm(verb, { items, containers: digests }, () => items.map((item) => visible(describe(item))));
  return 0;
}

function lastApart({ args }: Call): readonly [others: readonly string[], last: string] {
  return [args.slice(0, -1), args.at(-1) ?? ""];
}

/** Commander has "--no-x" as x refused. */
function noTargetDirectory({ options }: Call): { readonly noTargetDirectory: boolean } {
  return { noTargetDirectory: options.refused("targetDirectory") };
}
