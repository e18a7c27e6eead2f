import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bindMountSetting } from "../../src/lxc/bind-mount.ts";
import { appendValue, getValues, parseConfig } from "../../src/lxc/config-file.ts";
import { limitSettings } from "../../src/lxc/limits.ts";

const path = fc
  .stringMatching(/^[^\0\r\n/]{1,20}$/)
  .map((name) => `/${name}`)
  .filter((path) => path.trim() === path);

test("bind mount: whatever the paths, a config has one line of fstab for it, with both of them", () => {
  fc.assert(
    fc.property(path, path, fc.boolean(), (source, target, readOnly) => {
      const { key, value } = bindMountSetting({ source, target, readOnly }, "dir");
      const config = appendValue(parseConfig(""), key, value);
      const [line = "", ...others] = getValues(config, "lxc.mount.entry");
      assert.deepEqual(others, []);
      const [from = "", to = "", type, options] = line.split(" ");
      assert.deepEqual([unescaped(from), `/${unescaped(to)}`, type], [source, target, "none"]);
      assert.equal(options?.split(",").includes("ro"), readOnly);
    }),
  );
});

test("bind mount: nothing goes over the root of a container", () => {
  for (const target of ["/", "//"])
    assert.throws(() => bindMountSetting({ source: "/srv", target, readOnly: true }, "dir"), { code: "USAGE" });
});

test("limits: each is written for both versions of cgroups", () => {
  assert.deepEqual(lines({ memoryBytes: 2 ** 29, cpus: 1.5 }), [
    "lxc.cgroup2.memory.max=536870912",
    "lxc.cgroup.memory.limit_in_bytes=536870912",
    "lxc.cgroup2.cpu.max=150000 100000",
    "lxc.cgroup.cpu.cfs_period_us=100000",
    "lxc.cgroup.cpu.cfs_quota_us=150000",
  ]);
  assert.deepEqual(lines({}), []);
  // The least that the kernel takes.
  assert.ok(lines({ cpus: 0.001 }).includes("lxc.cgroup2.cpu.max=1000 100000"));
});

function lines(limits: Parameters<typeof limitSettings>[0]): string[] {
  return limitSettings(limits).map(({ key, value }) => `${key}=${value}`);
}

function unescaped(word: string): string {
  return word.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
