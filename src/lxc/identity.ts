import { generateKeyPair } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { formatSshKey, parseSshKeyKind } from "../format/ssh-key.ts";
import type { EcdsaCurve, SshKeyFiles, SshKeyKind } from "../format/ssh-key.ts";
import { byteStringOf } from "../model/name.ts";

/** Whether a container becomes a machine of its own, or goes on as the one that it was made from. */
export type Identity = "new" | "keep";
export const IDENTITIES: readonly Identity[] = ["new", "keep"];

/** Text alone is looked for in what tells one machine from another; what is larger is left as it is. */
export const IDENTITY_FILE_MAX_BYTES: number = 1 << 20;

export const HOSTNAME_FILE = "/etc/hostname";
export const HOSTS_FILE = "/etc/hosts";
/** The second is older, and a symlink to the first nowadays. */
export const MACHINE_ID_FILES: readonly string[] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
export const SSH_DIRECTORY = "/etc/ssh";

/** Files by which a DHCP server knows a client again; each program makes them anew. */
export const DHCP_FILES: readonly { readonly directory: string; readonly name: RegExp }[] = [
  // dhclient keeps its DUID among the leases; dhcpd's own leases are a server's, and stay.
  { directory: "/var/lib/dhcp", name: /^dhclient.*\.leases?$/ },
  { directory: "/var/lib/dhclient", name: /^dhclient.*\.leases?$/ },
  { directory: "/var/lib/dhcpcd", name: /^(?:duid|secret|.+\.lease6?)$/ },
  { directory: "/var/db/dhcpcd", name: /^(?:duid|secret|.+\.lease6?)$/ },
  { directory: "/etc", name: /^dhcpcd\.(?:duid|secret)$/ },
  { directory: "/var/lib/NetworkManager", name: /^(?:secret_key|.+\.lease)$/ },
  { directory: "/var/lib/wicked", name: /^(?:duid\.xml|iaid\.xml|lease-.+\.xml)$/ },
];

export function isHostKeyName(name: string): boolean {
  return /^ssh_host_.*key$/.test(name);
}

/**
 * True for the text of a machine-id file that names a machine. An empty file and "uninitialized" do not: systemd writes an id there
 * at the next boot, the second one being the first boot of all. machine-id(5).
 */
export function isMachineId(text: string): boolean {
  return /^[0-9a-f]{32}\n?$/i.test(text);
}

/** @returns undefined if the text of /etc/hostname names none */
export function parseHostname(text: string): string | undefined {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.find((line) => line !== "" && !line.startsWith("#"));
}

/**
 * The text of /etc/hosts with another name for the machine itself: in the lines of loopback addresses, where names with a domain keep
 * that. What else goes by the old name is another machine from then on.
 *
 * @param text a byte string, as the result
 */
export function renamedHosts(text: string, before: string, after: string): string {
  const [old, host] = [byteStringOf(before), byteStringOf(after)];
  const [oldShort, short] = [firstLabel(old), firstLabel(host)];
  if (oldShort === "localhost" || oldShort === "") return text;
  const renamed = (name: string): string => {
    if (name === old) return host;
    if (name === oldShort) return short;
    return name.startsWith(`${oldShort}.`) ? short + name.slice(oldShort.length) : name;
  };
  return text.replace(/^([ \t]*(?:127\.[0-9.]+|::1))([ \t][^#\n]*)/gm, (_, address: string, names: string) =>
    [address, names.replace(/[^ \t\r]+/g, renamed)].join(""),
  );
}

/**
 * A new key of the same kind. RSA takes some tenths of a second.
 *
 * @param before the private key's file
 * @returns undefined if that is of no kind that can be made
 */
export async function newHostKey(before: string, host: string): Promise<SshKeyFiles | undefined> {
  const kind = parseSshKeyKind(before);
  return kind && formatSshKey(await generate(kind), `root@${host}`);
}

const NODE_CURVES: Readonly<Record<EcdsaCurve, string>> = { nistp256: "P-256", nistp384: "P-384", nistp521: "P-521" };
/** Below, OpenSSH refuses them by now; above, one takes minutes. */
const RSA_BITS = { least: 2048, most: 4096 } as const;

async function generate(kind: SshKeyKind): Promise<KeyObject> {
  const generatePair = promisify(generateKeyPair);
  switch (kind.type) {
    case "ed25519":
      return (await generatePair("ed25519")).privateKey;
    case "ecdsa":
      return (await generatePair("ec", { namedCurve: NODE_CURVES[kind.curve] })).privateKey;
    case "rsa": {
      const modulusLength = Math.min(Math.max(kind.bits, RSA_BITS.least), RSA_BITS.most);
      return (await generatePair("rsa", { modulusLength })).privateKey;
    }
  }
}

function firstLabel(name: string): string {
  return name.split(".", 1)[0] ?? "";
}
