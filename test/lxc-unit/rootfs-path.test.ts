import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatRootfsPath, parseRootfsPath, workDirectoryOf } from "../../src/lxc/rootfs-path.ts";

const component = fc.stringMatching(/^[a-z ä:,\\"'$]{0,6}[a-z]$/);
const path = fc.array(component, { minLength: 1, maxLength: 4 }).map((names) => `/${names.join("/")}`);
const upper = path.filter((text) => !/[,\\]|:\//.test(text));

test("rootfs path: lowers of any name come back, the first on top", () => {
  fc.assert(
    fc.property(fc.array(path, { minLength: 1, maxLength: 5 }), upper, (lowers, top) => {
      assert.deepEqual(parseRootfsPath(formatRootfsPath({ lowers, upper: top })), {
        type: "overlay",
        lowers,
        upper: top,
      });
    }),
  );
});

for (const [value, parsed] of [
  ["overlay:/a:/b:/c", { type: "overlay", lowers: ["/a", "/b"], upper: "/c" }],
  ["overlayfs:/a:/c", { type: "overlay", lowers: ["/a"], upper: "/c" }],
  ["overlay:/a\\:/b:/c", { type: "overlay", lowers: ["/a:/b"], upper: "/c" }],
  ["overlay:/a\\\\:/b:/c", { type: "overlay", lowers: ["/a\\", "/b"], upper: "/c" }],
  ["overlay:/a::/b:/c", { type: "other" }],
  ["overlay:/a", { type: "other" }],
  ["overlay:", { type: "other" }],
  ["dir:/a:b", { type: "directory", path: "/a:b" }],
  ["/a", { type: "directory", path: "/a" }],
  ["zfs:pool/a", { type: "other" }],
  ["lvm:/dev/a", { type: "other" }],
  ["", { type: "other" }],
] as const) {
  test(`rootfs path: ${value === "" ? "nothing" : value} is read as LXC does`, () => {
    assert.deepEqual(parseRootfsPath(value), parsed);
  });
}

test("rootfs path: what LXC could not mount is refused", () => {
  for (const top of ["/a,b", "/a:/b", "/a\\b", "/a\nb", "/a ", "/a\0"]) {
    assert.throws(() => formatRootfsPath({ lowers: ["/lower"], upper: top }), { code: "REFUSED" });
  }
  assert.throws(() => formatRootfsPath({ lowers: ["/a\nb"], upper: "/upper" }), { code: "REFUSED" });
});

test("rootfs path: mount options end where the kernel's page ends, those of the config included", () => {
  const top = `/${"u".repeat(100)}/delta0`;
  const rest = `upperdir=${top},lowerdir=,workdir=${workDirectoryOf(top)}`.length;
  const lower = (length: number) => ({ lowers: [`/${"l".repeat(length - 1)}`], upper: top });
  formatRootfsPath(lower(4095 - rest));
  assert.throws(() => formatRootfsPath(lower(4096 - rest)), { code: "REFUSED" });
  assert.throws(() => formatRootfsPath(lower(4095 - rest), "userxattr"), { code: "REFUSED" });
  formatRootfsPath(lower(4095 - rest - ",userxattr".length), "userxattr");
});

test("rootfs path: the work directory is beside the upper", () => {
  assert.equal(workDirectoryOf("/lxc/web/delta0"), "/lxc/web/work");
  assert.equal(workDirectoryOf("/lxc/web/overlay/delta"), "/lxc/web/overlay/work");
});
