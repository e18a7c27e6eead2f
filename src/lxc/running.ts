import { readFileSync } from "node:fs";
import { byteStringOf } from "../model/name.ts";
import { mountedOverlays } from "../sys/mounts.ts";
import { said } from "./lxc-programs.ts";

export type ContainerState = "running" | "frozen" | "stopped";

export interface ContainerPlace {
  readonly name: string;
  /** Absolute. */
  readonly lxcPath: string;
  /** Tells also of a container that was started by another path to `lxcPath`, such as a symlink. */
  readonly upper?: string | undefined;
}

/** What runs on this host at one moment, for questions about many containers. */
export interface RunningContainers {
  isRunning(place: ContainerPlace): boolean;
  /** Asks LXC whether it is frozen, 5 ms, if it runs. */
  state(place: ContainerPlace): ContainerState;
}

/**
 * Takes the snapshot once it is first asked: it reads the sockets and mounts of the host, without a process per container.
 *
 * A container that has stopped while its post-stop hook runs counts as stopped, as for lxc-info.
 */
export function runningContainers(): RunningContainers {
  let host: ReturnType<typeof lookAtHost> | undefined;
  const isRunning = ({ name, lxcPath, upper }: ContainerPlace): boolean => {
    const { sockets, overlays } = (host ??= lookAtHost());
    return sockets.has(commandSocket(lxcPath, name)) || (upper !== undefined && overlays.hasUpper(upper));
  };
  return {
    isRunning,
    state: (place) => {
      if (!isRunning(place)) return "stopped";
      const state = said("lxc-info", ["-P", place.lxcPath, "-n", place.name, "-s", "-H"]);
      return state === "FROZEN" || state === "FREEZING" ? "frozen" : "running";
    },
  };
}

function lookAtHost() {
  return { sockets: listeningSockets(readFileSync("/proc/net/unix", "latin1")), overlays: mountedOverlays() };
}

/**
 * Name of the abstract socket on which LXC's monitor of a container listens, as a byte string, without the leading NUL.
 * Source: LXC, commands_utils.c, lxc_make_abstract_socket_name.
 */
export function commandSocket(lxcPath: string, name: string): string {
  const directory = byteStringOf(`${lxcPath.replace(/(?<=.)\/+$/, "")}/${name}`);
  const plain = `${directory}/command`;
  return plain.length < SOCKET_NAME_LIMIT ? plain : `lxc/${fnv1a64(directory)}/command`;
}

/**
 * Names of abstract sockets that someone listens on, of the text of /proc/net/unix. A connection that outlives its
 * listener, as of an lxc-stop that waits for the post-stop hook, keeps the name, but does not count.
 */
export function listeningSockets(text: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const line of text.split("\n")) {
    const [, flags, name] =
      /^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ ([0-9A-F]{8}) [0-9A-F]+ [0-9A-F]+ +[0-9]+ @(.*)$/.exec(line) ?? [];
    if (flags !== undefined && name !== undefined && parseInt(flags, 16) & SO_ACCEPTCON) names.add(name);
  }
  return names;
}

/** sizeof(sockaddr_un.sun_path), less the leading and the trailing NUL. */
const SOCKET_NAME_LIMIT = 108 - 2;
const SO_ACCEPTCON = 0x10000;

/** FNV-1a, 64 bits, as 16 hex digits. */
function fnv1a64(bytes: string): string {
  let hash = 0xcbf29ce484222325n;
  for (let i = 0; i < bytes.length; i++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(bytes.charCodeAt(i))) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
}
