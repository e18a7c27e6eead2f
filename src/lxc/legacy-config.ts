import { type ConfigFile, parseConfig } from "./config-file.ts";

/**
 * The config in the words of today's LXC, which refuses those of LXC 1 and 2.0. Lines that have none of them stay byte for byte.
 *
 * Source: LXC, src/lxc/tools/lxc-update-config.in.
 */
export function modernConfig(config: ConfigFile): ConfigFile {
  const networks = { count: 0 };
  const lines = config.lines.flatMap(({ text, setting }) => {
    if (setting === undefined) return text;
    const [, blank = "", written = "", rest = ""] = /^([ \t]*)(lxc\.[^=]*?)((?<![ \t])[ \t]*=.*)$/s.exec(text) ?? [];
    if (REMOVED.has(written)) return [];
    const key = networkKey(written, networks) ?? setting.key.replace(/^lxc\.limit(?=\.)/, "lxc.prlimit");
    return key === written ? text : blank + key + rest;
  });
  return parseConfig(Buffer.from(lines.join("\n"), "latin1"));
}

/** They are gone without a successor. */
const REMOVED: ReadonlySet<string> = new Set(["lxc.rootfs.backend", "lxc.pivotdir", "lxc.kmsg"]);

/** A line `lxc.network.type` began one more network, and what followed was its. */
function networkKey(key: string, networks: { count: number }): string | undefined {
  if (key === "lxc.network") return "lxc.net";
  const [, number, below] = /^lxc\.network\.(?:([0-9]+)\.)?(.+)$/s.exec(key) ?? [];
  if (below === undefined) return undefined;
  if (number === undefined && below === "type") networks.count++;
  const index = number ?? String(Math.max(0, networks.count - 1));
  return `lxc.net.${index}.${/^ipv[46]$/.test(below) ? `${below}.address` : below}`;
}
