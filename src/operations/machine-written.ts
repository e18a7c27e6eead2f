import { DHCP_FILES, HOSTNAME_FILE, isHostKeyName, MACHINE_ID_FILES, SSH_DIRECTORY } from "../lxc/identity.ts";
import { baseName, parentPath } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { isIgnored } from "./ignored-paths.ts";

/** True for what programs write by themselves: databases of packages, caches, logs, what a machine is known by. docs/history.md lists them. */
export function isMachineWritten(path: TreePath): boolean {
  return isIgnored(path, ["logs", "cache"]) !== undefined || PACKAGES.test(path) || isIdentity(`/${path}`);
}

/** What dpkg, apt, apk, rpm, pacman and ldconfig know of what is installed. */
const PACKAGES =
  /^(?:var\/lib\/(?:dpkg|apt|rpm|pacman)|lib\/apk\/db|usr\/lib\/sysimage\/rpm|var\/lib\/systemd\/deb-systemd-helper-enabled)(?:\/|$)/;

function isIdentity(path: string): boolean {
  const [directory, name] = [parentPath(path), baseName(path)];
  return (
    path === HOSTNAME_FILE ||
    MACHINE_ID_FILES.includes(path) ||
    (directory === SSH_DIRECTORY && isHostKeyName(name.replace(/\.pub$/, ""))) ||
    DHCP_FILES.some((files) => files.directory === directory && files.name.test(name))
  );
}
