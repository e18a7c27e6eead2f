import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { parseRootfsPath } from "../../src/lxc/rootfs-path.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { readManifest } from "../support/compare.ts";
import { busyboxRootfs, type LxcHost, lxcHost, SLEEP } from "./support.ts";

/** What the tutorial does otherwise with LXC alone than with delta0. */
interface Way {
  readonly name: string;
  /** Makes a container on an overlay. */
  readonly create: (at: LxcHost, name: string) => Promise<unknown>;
  /** A snapshot clone. @returns its exit code and what it said why not */
  readonly clone: (at: LxcHost, from: string, to: string) => Promise<{ readonly code: number; readonly said: string }>;
  readonly refusal: number;
}

const LXC: Way = {
  name: "lxc-copy",
  create: async (at, name) => {
    const template = `${at.path}/template`;
    writeFileSync(template, TEMPLATE);
    chmodSync(template, 0o755);
    writeFileSync(`${at.path}/config`, CONFIG);
    return await at.lxc("lxc-create", name, "-B", "overlay", "-t", template, "-f", `${at.path}/config`, "--", at.path);
  },
  clone: async (at, from, to) => {
    const log = `${at.path}/lxc-copy.log`;
    // At its default log level it says nothing.
    const line = `lxc-copy -P ${at.lxcPath} -n ${from} -N ${to} -s -B overlay -o ${log} -l error`;
    const { code } = await at.shell(line);
    return { code, said: existsSync(log) ? readFileSync(log, "utf8") : "" };
  },
  refusal: 1,
};

const DELTA0: Way = {
  name: "delta0 clone",
  create: async (at, name) => {
    await at.ok("import", `${at.path}/rootfs`, "base");
    return await at.ok("create", "base", name, ...SLEEP, "--set", "lxc.signal.halt=SIGKILL");
  },
  clone: async (at, from, to) => {
    const { code, stderr } = await at.delta0(["clone", from, to, "-P", at.lxcPath]);
    return { code, said: stderr };
  },
  refusal: 6,
};

for (const way of [LXC, DELTA0])
  test(`tutorial: on an overlay a container, what it writes, and a snapshot clone, by ${way.name}`, async (t) => {
    if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
    await using at = await lxcHost();
    await busyboxRootfs(`${at.path}/rootfs`);

    await way.create(at, "web");
    await at.lxc("lxc-start", "web");
    assert.equal(await at.state("web"), "RUNNING");
    const { lower, upper } = rootfsOf(at, "web");
    const lowerBefore = await readManifest(lower);
    await at.attach("web", "echo inside >/root/file");
    assert.equal(readFileSync(`${upper}/root/file`, "utf8"), "inside\n");
    assert.ok(!existsSync(`${lower}/root/file`));
    assert.ok(!existsSync(`${at.lxcPath}/web/rootfs/root/file`));

    const refused = await way.clone(at, "web", "web2");
    assert.equal(refused.code, way.refusal);
    assert.match(refused.said, /Original container \(web\) is running/);
    assert.ok(!existsSync(`${at.lxcPath}/web2`));

    await at.lxc("lxc-stop", "web");
    assert.equal(await at.state("web"), "STOPPED");
    const cloned = await way.clone(at, "web", "web2");
    assert.equal(cloned.code, 0, cloned.said);
    const clone = rootfsOf(at, "web2");
    assert.equal(clone.lower, lower);
    assert.ok(clone.upper.startsWith(`${at.lxcPath}/web2/`), clone.upper);

    await at.lxc("lxc-start", "web2");
    assert.equal(await at.attach("web2", "cat /root/file"), "inside\n");
    await at.attach("web2", "echo in the clone >/root/file");
    // Both run at once, and neither sees what the other does.
    await at.lxc("lxc-start", "web");
    assert.equal(await at.attach("web", "cat /root/file"), "inside\n");
    for (const name of ["web", "web2"]) await at.lxc("lxc-stop", name);
    assert.equal(readFileSync(`${upper}/root/file`, "utf8"), "inside\n");
    assert.equal(readFileSync(`${clone.upper}/root/file`, "utf8"), "in the clone\n");
    assert.deepEqual(await readManifest(lower), lowerBefore);
    for (const name of ["web2", "web"]) await at.lxc("lxc-destroy", name);
    assert.ok(!existsSync(`${at.lxcPath}/web`) && !existsSync(`${at.lxcPath}/web2`));
  });

function rootfsOf(at: LxcHost, name: string): { readonly lower: string; readonly upper: string } {
  const [, value = ""] = /^lxc\.rootfs\.path = (.*)$/m.exec(readFileSync(`${at.lxcPath}/${name}/config`, "utf8")) ?? [];
  const rootfs = parseRootfsPath(value);
  assert.equal(rootfs.type, "overlay", value);
  assert.equal(rootfs.lowers.length, 1, value);
  return { lower: rootfs.lowers[0] ?? "", upper: rootfs.upper };
}

/** For lxc-create: takes the root filesystem that is in the directory of its last argument. */
const TEMPLATE = `#!/bin/sh
set -e
for argument in "$@"; do
  case $argument in
  --rootfs=*) rootfs=\${argument#*=} ;;
  esac
done
cp -a "$argument/rootfs/." "$rootfs"
`;

const CONFIG = `lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
lxc.autodev = 1
lxc.mount.auto = proc:mixed sys:ro cgroup:mixed
lxc.init.cmd = /bin/sleep 1000
lxc.signal.halt = SIGKILL
`;
