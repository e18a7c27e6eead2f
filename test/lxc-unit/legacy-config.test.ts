import assert from "node:assert/strict";
import { test } from "node:test";
import { adoptedConfig } from "../../src/lxc/adopted-config.ts";
import { formatConfig, parseConfig } from "../../src/lxc/config-file.ts";
import { modernConfig } from "../../src/lxc/legacy-config.ts";

const modern = (text: string): string => formatConfig(modernConfig(parseConfig(text))).toString("utf8");

test("legacy config: keys of LXC 1 get their present names, each network its number, and what is gone goes", () => {
  const before = `# lxc.utsname = a comment stays
lxc.utsname=web
  lxc.rootfs = overlayfs:/a:/b
lxc.rootfs.backend = overlayfs
lxc.network.type = veth
lxc.network.ipv4 = 10.0.0.2/24
lxc.network.ipv4.gateway = auto
lxc.network.type = empty
lxc.network.3.link = br0
lxc.limit.nofile = 10
lxc.cgroup.memory.limit_in_bytes = 1G
lxc.pivotdir = x
lxc.mount.entry = a = b
lxc.tty = 4
`;
  const after = `# lxc.utsname = a comment stays
lxc.uts.name=web
  lxc.rootfs.path = overlayfs:/a:/b
lxc.net.0.type = veth
lxc.net.0.ipv4.address = 10.0.0.2/24
lxc.net.0.ipv4.gateway = auto
lxc.net.1.type = empty
lxc.net.3.link = br0
lxc.prlimit.nofile = 10
lxc.cgroup.memory.limit_in_bytes = 1G
lxc.mount.entry = a = b
lxc.tty.max = 4
`;
  assert.equal(modern(before), after);
  assert.equal(modern(after), after);
});

test("legacy config: a line without a legacy key stays byte for byte", () => {
  const bytes = Buffer.concat([Buffer.from("lxc.uts.name  =\t"), Buffer.from([0xe4]), Buffer.from(" \r\n\n")]);
  assert.deepEqual(formatConfig(modernConfig(parseConfig(bytes))), bytes);
});

test("adopted config: the rootfs is replaced in its place, hooks come once, mapped mounts and what would remove it go", () => {
  const text = `lxc.rootfs.path = dir:/lxc/web/rootfs
lxc.ephemeral = 1
lxc.rootfs.options = noatime,idmap=container
lxc.hook.start = /x
`;
  const config = adoptedConfig(parseConfig(text), "overlay:/e:/lxc/web/delta0", "/s/hooks.conf");
  const expected = `lxc.rootfs.path = overlay:/e:/lxc/web/delta0
lxc.rootfs.options = noatime
lxc.hook.start = /x
lxc.include = /s/hooks.conf
`;
  assert.equal(formatConfig(config).toString(), expected);
  assert.deepEqual(adoptedConfig(config, "overlay:/e:/lxc/web/delta0", "/s/hooks.conf"), config);
});
