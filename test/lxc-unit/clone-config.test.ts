import assert from "node:assert/strict";
import { test } from "node:test";
import { cloneConfig, renamedConfig } from "../../src/lxc/clone-config.ts";
import { formatConfig, getValue, getValues, parseConfig, settingsOf } from "../../src/lxc/config-file.ts";

const ROOTFS = "overlay:/store/exports/k:/lxc/new/delta0";
const NAMES = { originalName: "old", originalDirectory: "/lxc/old", name: "new", directory: "/lxc/new" };
const OPTIONS = { ...NAMES, rootfs: ROOTFS };

const clone = (text: string) => cloneConfig(parseConfig(text), OPTIONS);

test("clone config: name, root and directory are the clone's, and all else is the original's", () => {
  const { config, ownFiles } = clone(`# kept: /lxc/old
lxc.include = /store/lxc/hooks.conf
lxc.rootfs.path = overlay:/store/exports/j:/lxc/old/delta0
lxc.uts.name = old
lxc.mount.entry = /lxc/old/data data none bind 0 0
lxc.mount.entry = /lxc/older /x none bind,ro 0 0
lxc.hook.mount = /lxc/old/hook "/lxc/old/with,comma"
`);
  assert.equal(
    formatConfig(config).toString(),
    `# kept: /lxc/old
lxc.include = /store/lxc/hooks.conf
lxc.rootfs.path = ${ROOTFS}
lxc.uts.name = new
lxc.mount.entry = /lxc/new/data data none bind 0 0
lxc.mount.entry = /lxc/older /x none bind,ro 0 0
lxc.hook.mount = /lxc/new/hook "/lxc/new/with,comma"
`,
  );
  assert.deepEqual(ownFiles, ["/lxc/old/data", "/lxc/old/hook", "/lxc/old/with"]);
});

test("clone config: a directory whose name is no ASCII is found, and its files named as they are", () => {
  const names = { ...OPTIONS, originalDirectory: "/lxc/ä+(b", directory: "/lxc/ü" };
  const { config, ownFiles } = cloneConfig(parseConfig("lxc.hook.mount = /lxc/ä+(b/é\n"), names);
  assert.equal(getValue(config, "lxc.hook.mount"), "/lxc/ü/é");
  assert.deepEqual(ownFiles, ["/lxc/ä+(b/é"]);
});

test("clone config: it does not start or go away by itself, nor log where the original does", () => {
  const { config } = clone("lxc.start.auto = 1\nlxc.ephemeral = 1\nlxc.log.file = /l\nlxc.console.logfile = /c\n");
  assert.deepEqual(
    settingsOf(config).map(({ key }) => key),
    ["lxc.rootfs.path", "lxc.uts.name"],
  );
});

test("clone config: each network card gets an address of its own", () => {
  const { config } = clone(
    "lxc.net.0.hwaddr = 00:16:3e:00:00:00\nlxc.net.1.type = veth\nlxc.network.hwaddr = 1:2:3:4:5:6\n",
  );
  const [first, second] = [getValue(config, "lxc.net.0.hwaddr"), getValue(config, "lxc.network.hwaddr")];
  for (const address of [first, second]) assert.match(address ?? "", /^00:16:3e(:[0-9a-f]{2}){3}$/);
  assert.notEqual(first, second);
  assert.equal(getValue(config, "lxc.net.1.hwaddr"), undefined);
});

test("clone config: what both would use is warned of", () => {
  const count = (text: string) => clone(text).warnings.length;
  assert.equal(count("lxc.net.0.ipv4.address = 10.0.0.2/24\n"), 1);
  assert.equal(count("lxc.net.0.veth.pair = veth-old\n"), 1);
  assert.equal(count("lxc.mount.entry = /srv srv none bind 0 0\n"), 1);
  assert.equal(count("lxc.mount.entry = /srv srv none rbind,rw 0 0\nlxc.mount.entry = /srv2 srv none bind 0 0\n"), 2);
  assert.equal(count("lxc.mount.entry = /srv srv none bind,ro 0 0\n"), 0);
  assert.equal(count("lxc.mount.entry = /lxc/old/data data none bind 0 0\n"), 0);
  assert.equal(count("lxc.mount.entry = proc proc proc nodev 0 0\nlxc.net.0.type = veth\n"), 0);
});

test("clone config: the host name is its own, whatever the original's; with the identity kept, and MAC addresses, it is the original's", () => {
  const text = "lxc.uts.name = mail.example\nlxc.net.0.hwaddr = 00:16:3e:00:00:01\n";
  assert.equal(getValue(clone(text).config, "lxc.uts.name"), "new");
  assert.equal(getValue(clone("").config, "lxc.uts.name"), "new");
  const kept = (text: string) => cloneConfig(parseConfig(text), { ...OPTIONS, identity: "keep" });
  assert.equal(getValue(kept(text).config, "lxc.uts.name"), "mail.example");
  assert.equal(getValue(kept("").config, "lxc.uts.name"), "old");
  assert.equal(getValue(kept(text).config, "lxc.net.0.hwaddr"), "00:16:3e:00:00:01");
  assert.deepEqual([clone(text).warnings.length, kept(text).warnings.length], [0, 1]);
});

test("renamed config: addresses, autostart and logs stay, paths and the name are the new ones, twice no more than once", () => {
  const config = parseConfig(`lxc.rootfs.path = overlay:/store/exports/j:/lxc/old/overlay/delta
lxc.uts.name = old
lxc.start.auto = 1
lxc.net.0.hwaddr = 00:16:3e:00:00:01
lxc.log.file = /lxc/old/log
`);
  const renamed = renamedConfig(config, NAMES);
  assert.equal(
    formatConfig(renamed).toString(),
    `lxc.rootfs.path = overlay:/store/exports/j:/lxc/new/overlay/delta
lxc.uts.name = new
lxc.start.auto = 1
lxc.net.0.hwaddr = 00:16:3e:00:00:01
lxc.log.file = /lxc/new/log
`,
  );
  assert.deepEqual(renamedConfig(renamed, NAMES), renamed);
  assert.deepEqual(getValues(renamed, "lxc.uts.name"), ["new"]);
  assert.throws(() => renamedConfig(config, { ...NAMES, directory: "/lxc/a,b" }), { code: "REFUSED" });
});
