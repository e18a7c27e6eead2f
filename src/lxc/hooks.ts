import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { errnoOf, StoreError } from "../errors.ts";
import { syncPath, writeFileDurably } from "../sys/durable.ts";
import { userNamespace } from "../sys/user-namespace.ts";
import { makeDirectories } from "../sys/make-directories.ts";
import { quoted } from "./shell-word.ts";

/** The places in a store that the hooks know, absolute. */
export interface HookPaths {
  readonly directory: string;
  /** Where containers' configs have the exports. */
  readonly exports: string;
  /** What is mounted there, read-only. */
  readonly privateExports: string;
  /** The same for the exports with id maps. */
  readonly mapped: string;
  readonly privateMapped: string;
  /** Where the hooks are written. */
  readonly lxc: string;
  /** To be held, flock(2), by whoever mounts the exports. */
  readonly mountLock: string;
}

/** What `lxc.include` of a container takes in. It must stay: without it LXC cannot load the config at all. */
export function hooksFile(paths: Pick<HookPaths, "lxc">): string {
  return `${paths.lxc}/${HOOKS_CONFIG}`;
}

const HOOKS_CONFIG = "hooks.conf";

/**
 * Writes `hooks.conf` and its two scripts, where they are not as they should be. docs/design.md, "Hooks".
 *
 * The scripts start no delta0 unless there is something to do for it: for `lxc hook pre-start` to make an upper or an
 * export, for `lxc hook post-stop` to capture. These get LXC's environment, and both answer on standard error. A delta0 that is in a
 * user namespace now, by lxc-usernsexec say, will be in one like it then: for a user's own containers LXC runs hooks outside.
 *
 * @param command what starts delta0, absolute paths only: hooks run in "/"
 * @returns the names of those that were not as they should be; with `dryRun` they still are not
 * @throws {StoreError} REFUSED if no config can hold the paths
 */
export function writeHooks(
  paths: HookPaths,
  command: readonly string[],
  { dryRun = false }: { readonly dryRun?: boolean } = {},
): readonly string[] {
  const delta0 = [...command, "--quiet", "--store", paths.directory, "lxc", "hook"].map(quoted).join(" ");
  const namespace = userNamespace();
  const places = [
    `exports=${quoted(paths.exports)}`,
    `private=${quoted(paths.privateExports)}`,
    `mapped=${quoted(paths.mapped)}`,
    `private_mapped=${quoted(paths.privateMapped)}`,
    `lock=${quoted(paths.mountLock)}`,
    `turn=${quoted(`${paths.lxc}/post-stop.lock`)}`,
    `ranges=${quoted(namespace?.ranges.map((range) => `-m ${range}`).join(" ") ?? "")}`,
    `uid_map=${quoted(namespace?.uidMap ?? "")}`,
  ].join("\n");
  const script = (hook: string, body: string): string => [head(hook), places, COMMON, body].join("\n");
  // The config comes last: it names the others.
  const stale = [
    { name: "pre-start", text: script("pre-start", preStart(delta0)), mode: 0o755 },
    { name: "post-stop", text: script("post-stop", postStop(delta0)), mode: 0o755 },
    { name: HOOKS_CONFIG, text: hooksConfig(paths.lxc), mode: 0o644 },
  ].filter(({ name, text, mode }) => !isFile(`${paths.lxc}/${name}`, text, mode));
  if (!dryRun && stale.length > 0) {
    makeDirectories(paths.lxc, 0o700);
    for (const { name, text, mode } of stale) writeFileDurably(`${paths.lxc}/${name}`, text, mode);
  }
  return stale.map(({ name }) => name);
}

/**
 * Takes away what `writeHooks` wrote. No config may take it in any more.
 *
 * @returns the names of those that were there; with `dryRun` they still are
 */
export function removeHookFiles(
  paths: Pick<HookPaths, "lxc">,
  { dryRun = false }: { readonly dryRun?: boolean } = {},
): readonly string[] {
  const present = [HOOKS_CONFIG, "pre-start", "post-stop"].filter((name) => existsSync(`${paths.lxc}/${name}`));
  if (!dryRun && present.length > 0) {
    for (const name of present) rmSync(`${paths.lxc}/${name}`);
    syncPath(paths.lxc);
  }
  return present;
}

// Without lxc.hook.version: it holds for all hooks of a container, and with 1 the user's own would lose their arguments.
function hooksConfig(directory: string): string {
  const line = (hook: string) => {
    const script = quoted(`${directory}/${hook}`);
    if (/[\n\0]/.test(script)) {
      throw new StoreError("REFUSED", {
        reason: `an LXC config cannot hold the path ${JSON.stringify(directory)}`,
        hint: "choose another store directory",
      });
    }
    // LXC takes away one pair of quotes, and gives the rest to a shell.
    return `lxc.hook.${hook} = "${script}"\n`;
  };
  return `# Written by delta0, which rewrites it.\n${line("pre-start")}${line("post-stop")}`;
}

function head(hook: string): string {
  return `#!/bin/sh
# Written by delta0, which rewrites it when delta0 or Node has moved. LXC runs it at ${hook} of a container.
# LXC's arguments are of no use: lxc-copy copies hook lines as they are.
hook=${hook}`;
}

/**
 * Ends the script for containers that stand on anything but a stack of our exports; else sets upper and dir, the arguments to the exports, the topmost
 * first, and exports and private to where these are below. is_mapped is empty for those without an id map.
 */
const COMMON = `# A start from a user's shell has the user's PATH.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

rootfs=\${LXC_ROOTFS_PATH-}
case $rootfs in
overlay:*) rootfs=\${rootfs#overlay:} ;;
overlayfs:*) rootfs=\${rootfs#overlayfs:} ;;
esac
case $rootfs in
*:/*) ;;
*) exit 0 ;;
esac
upper=/\${rootfs##*:/}
lowers=\${rootfs%:/*}
# Parted by colons; where any is escaped, by lines instead: no path of ours has a newline in it.
case $lowers in
*\\\\*)
  lowers=$(printf '%s\\n' "$lowers" | sed 's/\\\\\\\\/\\nb/g; s/\\\\:/\\nc/g; s/\\\\\\(.\\)/\\1/g; s|:/|\\n/|g; s/\\nc/:/g; s/\\nb/\\\\/g')
  IFS='
'
  ;;
*) IFS=: ;;
esac
set -f
set -- $lowers
unset IFS
set +f
is_mapped=
case \${1-} in
"$mapped"/*)
  is_mapped=yes
  exports=$mapped
  private=$private_mapped
  ;;
esac
over=
for lower in "$@"; do
  key=\${lower#"$exports/"}
  name=$key
  if [ -n "$is_mapped" ]; then name=\${key#*/}; fi
  tree=\${name%%.*}
  if [ "$key" = "$lower" ] || [ "$over" = nothing ] || [ \${#tree} -ne 64 ]; then exit 0; fi
  case $tree in
  *[!0-9a-f]*) exit 0 ;;
  "$over"*) ;;
  *) exit 0 ;;
  esac
  over=nothing
  if [ "$name" != "$tree" ]; then over=\${name#*.}; fi
done
if [ "$over" != nothing ]; then exit 0; fi
dir=\${LXC_CONFIG_FILE%/*}

say() {
  line=$(printf '%s' "$1" | tr '\\n' ' ' | cut -c 1-2000)
  printf '%s %s: %s\\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$hook" "$line" >>"$dir/delta0.log"
} 2>/dev/null

# SECONDS PROGRAM...: sets said to what it had to say; fails as it does.
bounded() {
  seconds=$1
  shift
  # Unquoted, for their words.
  if [ -n "$ranges" ] && [ "$(echo $(cat /proc/self/uid_map))" != "$uid_map" ]; then
    set -- lxc-usernsexec $ranges -- "$@"
  fi
  if command -v timeout >/dev/null; then set -- timeout -k 10 "$seconds" "$@"; fi
  said=$("$@" 2>&1 </dev/null)
  status=$?
  case $status in
  124 | 137) said="no answer from delta0 within $seconds seconds. $said" ;;
  126 | 127) said="$said; if delta0 or Node has moved, run: delta0 lxc hooks install" ;;
  esac
  return $status
}
`;

function preStart(delta0: string): string {
  return `isPending() {
  [ -e "$dir/pending" ] || [ -e "\${upper%/*}/pending" ]
}

# Sets missing to the first export that is not there.
whole() {
  for missing in "$@"; do
    [ -d "$missing" ] || return 1
  done
  missing=
}

# The config may have been changed since this start has read it, and the upper with it.
ready() {
  whole "$@" && [ -d "$upper" ] && ! isPending && grep -qF -- ":$rootfs" "$LXC_CONFIG_FILE"
}

# LXC makes the work directory as root of the container, who may not write beside it.
go() {
  if [ -n "$is_mapped" ] && [ ! -d "\${upper%/*}/work" ]; then
    mkdir -m 0700 "\${upper%/*}/work" && chown --reference="$upper" "\${upper%/*}/work"
  fi
  exit 0
}

if ready "$@"; then go; fi

# A user who may not mount gets a symlink, as from delta0.
show() {
  if [ -z "$missing" ] || [ -L "$exports" ] || [ ! -d "$exports" ]; then return; fi
  if [ ! -d "$private/\${missing#"$exports/"}" ]; then return; fi
  (
    flock -w 30 9
    if [ -d "$missing" ] || mount -o bind,ro "$private" "$exports" || [ "$(id -u)" = 0 ]; then exit; fi
    rmdir "$exports" && ln -s "private/\${exports##*/}" "$exports"
  ) 9>>"$lock" >/dev/null 2>&1
}

# After a boot the exports are not mounted yet.
show
if ready "$@"; then go; fi

if bounded ${PRE_START_SECONDS} ${delta0} pre-start; then
  if [ -n "$said" ]; then say "$said"; fi
  # What it mounted itself is seen in its namespace alone.
  whole "$@" || show
  if whole "$@"; then go; fi
fi

# LXC would make a missing upper itself, empty: the container would start without its changes.
if ! whole "$@"; then
  said="cannot start: $missing is missing, and delta0 did not make it: $said"
elif [ ! -d "$upper" ]; then
  said="cannot start: $upper is missing, and delta0 did not make it: $said"
elif isPending; then
  said="cannot start: $upper is out of date, and delta0 did not renew it: $said"
else
  say "started with $upper as it was: $said"
  go
fi
say "$said"
printf '%s\\n' "$said" >&2
exit 1
`;
}

function postStop(delta0: string): string {
  return `if [ "\${LXC_TARGET-}" = reboot ]; then exit 0; fi
if [ ! -d "\${upper%/*}/work" ] && [ ! -d "\${upper%/*}/capturing" ]; then exit 0; fi

if command -v flock >/dev/null; then
  # Whoever has claimed the container captures it.
  if ! flock -n "$dir" true; then exit 0; fi
  # Of many that stop at once some are captured here, one at a time, and the next command captures the others.
  exec 9>>"$turn"
  if ! flock -w ${TURN_SECONDS} 9; then exit 0; fi
fi

if ! bounded ${POST_STOP_SECONDS} ${delta0} post-stop; then
  said="not captured, the next command will do it: $said"
fi
if [ -n "$said" ] && [ -d "$dir" ]; then say "$said"; fi
exit 0
`;
}

/** Long enough to write out a large export. */
const PRE_START_SECONDS = 600;
/** lxc-stop waits for it. */
const POST_STOP_SECONDS = 300;
/** As does each of many. */
const TURN_SECONDS = 0.5;

function isFile(path: string, text: string, mode: number): boolean {
  try {
    return readFileSync(path, "utf8") === text && (statSync(path).mode & 0o7777) === mode;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}
