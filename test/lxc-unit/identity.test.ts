import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DHCP_FILES,
  isHostKeyName,
  isMachineId,
  newHostKey,
  parseHostname,
  renamedHosts,
} from "../../src/lxc/identity.ts";

test("identity: in /etc/hosts the machine's own lines get the new name, with its domain, and no other", () => {
  const before = [
    "127.0.0.1\tlocalhost web",
    "127.0.1.1 web.example.org web  # web",
    "  ::1 ip6-localhost web",
    "10.0.0.5 web",
    "127.0.1.1 website web-2 my.web",
    "#127.0.1.1 web",
    "::1 web\r",
    "127.0.1.1",
    "",
  ];
  const after = [
    "127.0.0.1\tlocalhost web2",
    "127.0.1.1 web2.example.org web2  # web",
    "  ::1 ip6-localhost web2",
    "10.0.0.5 web",
    "127.0.1.1 website web-2 my.web",
    "#127.0.1.1 web",
    "::1 web2\r",
    "127.0.1.1",
    "",
  ];
  assert.equal(renamedHosts(before.join("\n"), "web", "web2"), after.join("\n"));
  const qualified = "127.0.1.1 web.example.org web";
  assert.equal(renamedHosts(qualified, "web.example.org", "b.example.org"), "127.0.1.1 b.example.org b");
  for (const name of ["localhost", "localhost.localdomain", ""])
    assert.equal(
      renamedHosts("127.0.0.1 localhost localhost.localdomain", name, "web"),
      "127.0.0.1 localhost localhost.localdomain",
    );
  assert.equal(renamedHosts("127.0.0.1 a$b \xff", "a$b", "$&"), "127.0.0.1 $& \xff");
});

test("identity: what is a host name, a machine id, a host key's name", () => {
  assert.equal(parseHostname("# mine\n\n web \n"), "web");
  assert.equal(parseHostname("\n#\n"), undefined);
  for (const text of ["", "\n", "uninitialized\n", "x".repeat(32), "a".repeat(31), `${"a".repeat(32)}\n\n`])
    assert.ok(!isMachineId(text), text);
  for (const text of ["a".repeat(32), "0123456789abcdef0123456789abcdef\n"]) assert.ok(isMachineId(text));
  for (const name of ["ssh_host_key", "ssh_host_rsa_key", "ssh_host_ed25519_key"]) assert.ok(isHostKeyName(name));
  for (const name of ["ssh_host_rsa_key.pub", "ssh_host_rsa_key-cert.pub", "sshd_config"])
    assert.ok(!isHostKeyName(name));
});

test("identity: a DHCP server's leases, and settings, are none of a client's", () => {
  const isOf = (directory: string, file: string): boolean =>
    DHCP_FILES.some((files) => files.directory === directory && files.name.test(file));
  for (const file of ["dhclient.leases", "dhclient.eth0.leases", "dhclient6.eth0.leases", "dhclient-0a--eth0.lease"])
    assert.ok(isOf("/var/lib/dhcp", file), file);
  for (const file of ["dhcpd.leases", "dhcpd6.leases", "README"]) assert.ok(!isOf("/var/lib/dhcp", file), file);
  assert.ok(isOf("/var/lib/dhcpcd", "duid") && isOf("/etc", "dhcpcd.duid"));
  assert.ok(!isOf("/etc", "dhcpcd.conf") && !isOf("/var/lib/NetworkManager", "NetworkManager.state"));
});

test("identity: of what is no key, none is made", async () => {
  assert.equal(await newHostKey("ssh-rsa AAAA", "web"), undefined);
});
