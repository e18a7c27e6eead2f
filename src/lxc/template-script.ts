import { existsSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { errnoOf, StoreError } from "../errors.ts";
import { syncPath, writeFileDurably } from "../sys/durable.ts";
import { quoted } from "./shell-word.ts";

/** As `lxc-create -t delta0` looks for it. */
export const TEMPLATE_SCRIPT = "lxc-delta0";

/** Where this host's lxc-create looks for templates: beside its program, as it was built. Undefined without LXC. */
export function templateDirectory(): string | undefined {
  const program = (process.env["PATH"] ?? "").split(":").find((directory) => existsSync(`${directory}/lxc-create`));
  if (program === undefined) return undefined;
  return `${dirname(dirname(realpathSync(`${program}/lxc-create`)))}/share/lxc/templates`;
}

export interface Template {
  /** What starts delta0, absolute paths only. */
  readonly command: readonly string[];
  /** The store's directory. */
  readonly store: string;
}

/**
 * Puts the script in place.
 *
 * @returns false if it was there already; with `dryRun` nothing is written
 * @throws {StoreError} EXISTS rather than replace what delta0 has not written
 */
export function writeTemplate(
  file: string,
  template: Template,
  { dryRun = false }: { readonly dryRun?: boolean } = {},
): boolean {
  const text = script(template);
  const before = readOwn(file);
  if (before === text) return false;
  if (!dryRun) writeFileDurably(file, text, 0o755);
  return true;
}

/** @returns false if it was not there @throws {StoreError} EXISTS for what delta0 has not written */
export function removeTemplateFile(file: string, { dryRun = false }: { readonly dryRun?: boolean } = {}): boolean {
  if (readOwn(file) === undefined) return false;
  if (dryRun) return true;
  rmSync(file);
  syncPath(dirname(file));
  return true;
}

function readOwn(file: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  if (text.includes(MARK)) return text;
  throw new StoreError("EXISTS", {
    what: `${file} is there, and delta0 has not written it`,
    hint: "move it away, or choose another directory with --dir",
  });
}

const MARK = "# Written by delta0, which rewrites it: delta0 lxc template install.\n";

function script({ command, store }: Template): string {
  return `#!/bin/sh
${MARK}# lxc-create runs it with --path=LXCPATH/NAME --name=NAME --rootfs=DIR, and with what stands after its "--".
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
path=
uid=
gid=
before=
for word; do
  case $before in
  --mapped-uid) uid=$word ;;
  --mapped-gid) gid=$word ;;
  esac
  case $word in
  --path=*) path=\${word#--path=} ;;
  esac
  before=$word
done
set -- ${[...command, "--store", store].map(quoted).join(" ")} lxc template run "$@"
# With an id map LXC runs it as root in the user namespace of the container. Whoever calls lxc-create has these ids there: if
# the store is his, and not that root's, so is the container's directory.
if [ -n "$uid" ] && [ "$(stat -c %u ${quoted(store)})" = "$uid" ]; then
  # As -B overlay makes it.
  if [ -d "$path/overlay" ]; then chown "$uid" "$path/overlay" || exit; fi
  chown "$uid:0" "$path" && chmod 0710 "$path" || exit
  set -- setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$@"
fi
exec "$@"
`;
}
