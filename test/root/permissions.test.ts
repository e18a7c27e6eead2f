import assert from "node:assert/strict";
import { closeSync, constants, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { mayHaveSetgid } from "../../src/overlay/credentials.ts";
import { callers } from "../overlay/permissions-support.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireLoop, requireRoot } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { as, setxattr } from "./act-as.ts";
import { calls } from "./permissions-calls.ts";
import { ownedAt, placesIn, type Scene, scenes, setUp } from "./permissions-scene.ts";

const RUNS = 3000;

test("permissions: errno, owner, mode and xattrs of each call are those of this kernel on ext4", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using filesystem = await loopFilesystem("ext4", 16);
  compareWithKernel(filesystem.path, () => false);
});

test("permissions: errno, owner, mode and xattrs of each call are those of this kernel on tmpfs", async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  await run("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", directory.path]);
  const probe = join(directory.path, "probe");
  writeFileSync(probe, "");
  if (setxattr(probe, "user.a", Uint8Array.of(1)) !== undefined)
    return t.skip("its tmpfs has no user xattrs, as before Linux 6.6");
  // Here S_ISGID goes when somebody outside of the group removes an ACL. The rules are those of ext4 and xfs.
  compareWithKernel(
    directory.path,
    (name, { caller, node }) =>
      /^(remove|set)xattr .*posix_acl_access/.test(name) &&
      (node.mode & 0o2000) !== 0 &&
      !mayHaveSetgid(caller, node.gid),
  );
});

/** @param differs what this filesystem is known to do otherwise */
function compareWithKernel(root: string, differs: (name: string, scene: Scene) => boolean): void {
  const refused = new Set<string>();
  const made = new Set<string>();
  const places = placesIn(root);
  fc.assert(
    fc.property(
      callers,
      fc.constantFrom(0, 0o022, 0o077, 0o027),
      calls,
      scenes,
      (caller, umask, [name, call], wanted) => {
        const scene: Scene = { caller, umask, ...setUp(places, wanted) };
        if (call.applies?.(scene) === false || differs(name, scene)) return;

        const expected = call.may(scene);
        const file = wanted.node.format === constants.S_IFREG ? openSync(places.node, "r+") : undefined;
        const actual = as(caller ?? { uid: 0, gid: 0 }, umask, () => call.make(places, file));
        if (file !== undefined) closeSync(file);

        assert.equal(actual, expected);
        (actual === undefined ? made : refused).add(name.split(" ")[0]!);
        if (actual !== undefined || call.then === undefined) return;
        const [place, owned] = call.then(scene);
        assert.deepEqual(ownedAt(places[place]), owned);
      },
    ),
    { numRuns: RUNS, includeErrorInReport: true },
  );
  // Else the property would hold for want of cases.
  assert.deepEqual(
    [...refused].filter((name) => !made.has(name)),
    ["listxattr"],
  );
  assert.deepEqual(
    [...made].filter((name) => !refused.has(name)),
    ["write"],
  );
}
