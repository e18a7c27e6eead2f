import { randomUUID } from "node:crypto";
import {
  DHCP_FILES,
  HOSTNAME_FILE,
  HOSTS_FILE,
  IDENTITY_FILE_MAX_BYTES,
  isHostKeyName,
  isMachineId,
  MACHINE_ID_FILES,
  newHostKey,
  parseHostname,
  renamedHosts,
  SSH_DIRECTORY,
} from "../lxc/identity.ts";
import type { ContainerView } from "../overlay/container-view.ts";
import type { TreeView } from "../overlay/tree-view.ts";
import { isDirectory } from "./change-files.ts";

/** True if there is anything in it by which it would be taken for another machine. */
export function hasIdentity(view: TreeView): boolean {
  const parts = [() => hostKeys(view), () => machineIds(view), () => dhcpFiles(view)];
  return isSmallFile(view, HOSTNAME_FILE) || parts.some((part) => part().length > 0);
}

/**
 * True if the two are not the same machine: in all of host name, machine ids and host keys that both have they differ. Whoever
 * changes some of it is still the same.
 */
export function isOtherMachine(before: TreeView, after: TreeView): boolean {
  const both = [HOSTNAME_FILE, ...machineIds(after), ...hostKeys(after)].flatMap((path) => {
    const [was, is] = [readSmall(before, path), readSmall(after, path)];
    return was === undefined || is === undefined ? [] : [was.equals(is)];
  });
  return both.length > 0 && !both.includes(true);
}

/**
 * Makes a machine of its own of a root filesystem: its host name, also in /etc/hosts, machine id, SSH host keys of the kinds that there
 * are, and what DHCP knows it by. Owners and modes of files stay.
 *
 * @returns what is left as it was, for people
 */
export async function renewIdentity(view: ContainerView, host: string): Promise<string[]> {
  await renewHostname(view, host);
  const machineId = randomUUID().replaceAll("-", "");
  for (const path of machineIds(view)) await view.promises.writeFile(path, `${machineId}\n`);
  for (const path of dhcpFiles(view)) await view.promises.unlink(path);
  const left: string[] = [];
  for (const path of hostKeys(view)) {
    const made = await newHostKey(readSmall(view, path)?.toString("latin1") ?? "", host);
    if (made === undefined) {
      left.push(`${path} is the original's: it is of no kind that delta0 can make`);
      continue;
    }
    await view.promises.writeFile(path, made.privateKey);
    if (readSmall(view, `${path}.pub`) !== undefined) await view.promises.writeFile(`${path}.pub`, made.publicKey);
  }
  return left;
}

async function renewHostname(view: ContainerView, host: string): Promise<void> {
  const text = readSmall(view, HOSTNAME_FILE);
  if (text === undefined) return;
  const before = parseHostname(text.toString("utf8"));
  if (before !== host) await view.promises.writeFile(HOSTNAME_FILE, `${host}\n`);
  const hosts = readSmall(view, HOSTS_FILE)?.toString("latin1");
  if (hosts === undefined || before === undefined) return;
  const renamed = renamedHosts(hosts, before, host);
  if (renamed !== hosts) await view.promises.writeFile(HOSTS_FILE, Buffer.from(renamed, "latin1"));
}

function machineIds(view: TreeView): string[] {
  return MACHINE_ID_FILES.filter((path) => isMachineId(readSmall(view, path)?.toString("latin1") ?? ""));
}

function hostKeys(view: TreeView): string[] {
  return namesIn(view, SSH_DIRECTORY)
    .filter(isHostKeyName)
    .map((name) => `${SSH_DIRECTORY}/${name}`)
    .filter((path) => isSmallFile(view, path));
}

function dhcpFiles(view: TreeView): string[] {
  return DHCP_FILES.flatMap(({ directory, name }) =>
    namesIn(view, directory)
      .filter((found) => name.test(found))
      .map((found) => `${directory}/${found}`)
      .filter((path) => view.lstatSync(path).isFile()),
  );
}

function namesIn(view: TreeView, directory: string): string[] {
  return isDirectory(view, directory) ? view.readdirSync(directory) : [];
}

function readSmall(view: TreeView, path: string): Buffer | undefined {
  return isSmallFile(view, path) ? view.readFileSync(path) : undefined;
}

/** A regular file, also behind a symlink, that is not too large to be one of these. */
function isSmallFile(view: TreeView, path: string): boolean {
  if (!view.existsSync(path)) return false;
  const stat = view.statSync(path);
  return stat.isFile() && stat.size <= IDENTITY_FILE_MAX_BYTES;
}
