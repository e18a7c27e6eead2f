import assert from "node:assert/strict";
import { test } from "node:test";
import { formatConfig, getValue, getValues, parseConfig, settingsOf } from "../../src/lxc/config-file.ts";
import { containerConfig } from "../../src/lxc/template.ts";

const OPTIONS = { name: "web", rootfs: "overlay:/lower:/upper" };

test("template: without one of the user's, a Debian boots: one root, one name, no network", () => {
  const config = containerConfig({ ...OPTIONS, hooksFile: "/store/lxc/hooks.conf" });
  assert.deepEqual(getValues(config, "lxc.rootfs.path"), [OPTIONS.rootfs]);
  assert.deepEqual(getValues(config, "lxc.include"), ["/store/lxc/hooks.conf"]);
  assert.equal(getValue(config, "lxc.uts.name"), "web");
  assert.equal(getValue(config, "lxc.net.0.type"), "empty");
  assert.ok(getValue(config, "lxc.apparmor.profile"));
  assert.deepEqual(parseConfig(formatConfig(config)), config);
});

test("template: a key of the user's replaces ours, networks and confinement as a whole", () => {
  const template = parseConfig(`# mine
lxc.rootfs.path = dir:/elsewhere
lxc.net.0.link = br0
lxc.apparmor.allow_nesting = 1
lxc.tty.max = 4
`);
  const config = containerConfig({ ...OPTIONS, template });
  assert.deepEqual(getValues(config, "lxc.tty.max"), ["4"]);
  assert.equal(getValue(config, "lxc.net.0.type"), undefined);
  assert.equal(getValue(config, "lxc.apparmor.profile"), undefined);
  assert.deepEqual(getValues(config, "lxc.rootfs.path"), [OPTIONS.rootfs]);
  assert.equal(getValue(config, "lxc.include"), undefined);
  assert.ok(formatConfig(config).includes("# mine\n"));
});

test("template: settings win over all, and those that add up are added", () => {
  const settings = [
    { key: "lxc.init.cmd", value: "/bin/sh" },
    { key: "lxc.mount.entry", value: "/a a none bind 0 0" },
    { key: "lxc.mount.entry", value: "/b b none bind 0 0" },
    { key: "lxc.uts.name", value: "other" },
  ];
  const config = containerConfig({ ...OPTIONS, settings });
  assert.deepEqual(getValues(config, "lxc.init.cmd"), ["/bin/sh"]);
  assert.deepEqual(getValues(config, "lxc.mount.entry"), ["/a a none bind 0 0", "/b b none bind 0 0"]);
  assert.deepEqual(getValues(config, "lxc.uts.name"), ["other"]);
  assert.equal(settingsOf(config).filter(({ key }) => key === "lxc.mount.auto").length, 1);
});

test("template: the root is set by nobody else", () => {
  const settings = [{ key: "lxc.rootfs.path", value: "/x" }];
  assert.throws(() => containerConfig({ ...OPTIONS, settings }), { code: "USAGE" });
});
