import assert from "node:assert/strict";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { test } from "node:test";
import {
  capture,
  clone,
  create,
  exportTree,
  importLayer,
  list,
  listExports,
  openContainer,
  preStart,
  remove,
  show,
  unexport,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { getValue, getValues, readConfig } from "../../src/lxc/config-file.ts";
import { parseRootfsPath } from "../../src/lxc/rootfs-path.ts";
import { assertNothingHalfMade, openTestHost } from "../operations/support.ts";
import type { TestHost } from "../operations/support.ts";
import { compareManifests } from "../support/compare.ts";
import { requireCommands, requireRoot } from "../support/requirements.ts";
import { run } from "../support/run.ts";

const MAP = ["b:0:100000:65536"];
const RANGES = ["u:0:100000:65536", "g:0:100000:65536"];

/** Owners, an ACL of each kind, capabilities of both revisions, set-id bits, links, a device, an opaque directory over another. */
const CHANGES = `
  touch capable other suid; cp -p capable f1; chown 33:1000 f1; ln f1 f2
  setcap cap_net_raw+ep capable; setcap -n 1000 cap_chown+p other; chown 7:7 suid; chmod 6755 suid
  mkdir d; setfacl -m u:33:rwx,u:5:r,g:1000:r d; setfacl -d -m u:7:rx,g:8:- d; setfacl -m u:1000:rw f1
  ln -s nowhere link; chown -h 5:5 link; mknod tty c 5 0; mkfifo fifo; chown 0:5 tty
  rm -rf bin; mkdir bin; chown 1:1 bin; rm etc/link; chown 1000:1000 etc`;

/** Gives the ids in a directory a map of its own, by tools that are none of ours. */
const SHIFT = `
  caps=$(getcap -rn .); acls=$(getfacl -Rnp --skip-base .)
  find . -depth -printf '%U %G %m %y %p\\n' | while read -r u g m t p; do
    chown -h $((u + 100000)):$((g + 100000)) "$p"
    [ "$t" = l ] || chmod "$m" "$p"
  done
  setcap -n 100000 cap_net_raw+ep capable; setcap -n 101000 cap_chown+p other
  printf '%s\\n' "$acls" | awk -F: -v OFS=: '/^(default:)?(user|group):[0-9]/ { i = $1 == "default" ? 3 : 2; $i += 100000 } { print }' |
    sed '/^# owner/d; /^# group/d' | setfacl --restore=-`;

async function shell(script: string, cwd: string): Promise<void> {
  await run("sh", ["-ec", script], { cwd });
}

async function start(at: TestHost, name: string): Promise<{ lower: string; upper: string }> {
  const directory = `${at.lxcPath}/${name}`;
  const rootfsPath = getValue(readConfig(`${directory}/config`), "lxc.rootfs.path") ?? "";
  await preStart(at.context, { configFile: `${directory}/config`, rootfsPath });
  const rootfs = parseRootfsPath(rootfsPath);
  assert.equal(rootfs.type, "overlay");
  return { lower: rootfs.lowers[0] ?? "", upper: rootfs.upper };
}

async function treeOf(context: Context, ref: string): Promise<string> {
  return (await show(context, { ref })).digest;
}

/** As that user of the host, without groups, who has no privileges. */
async function as(id: number, ...command: string[]): Promise<string> {
  return await run("setpriv", [`--reuid=${id}`, `--regid=${id}`, "--clear-groups", ...command]);
}

test("id map: a delta captured as written, and once more with its ids shifted, is the same tree", async (t) => {
  if (!requireCommands(t, "setfacl", "getfacl", "setcap", "getcap")) return;
  await using at = await openTestHost();
  const { context } = at;
  await create(context, { source: at.source, name: "plain", noLxc: true });
  await clone(context, { ref: "plain", names: ["shifted"], noLxc: true });
  for (const name of ["upper", "work", "view"]) mkdirSync(`${at.path}/${name}`);
  const options = `lowerdir=${at.source},upperdir=${at.path}/upper,workdir=${at.path}/work`;
  await run("mount", ["-t", "overlay", "overlay", "-o", options, `${at.path}/view`]);
  await shell(CHANGES, `${at.path}/view`);
  await run("umount", [`${at.path}/view`]);
  await run("cp", ["-a", `${at.path}/upper`, `${at.path}/upper2`]);
  await shell(SHIFT, `${at.path}/upper2`);

  const plain = await capture(context, { name: "plain", from: `${at.path}/upper` });
  const shifted = await capture(context, { name: "shifted", from: `${at.path}/upper2`, idMap: MAP });
  assert.deepEqual([plain.losses, shifted.losses], [[], []]);
  assert.equal(shifted.digest, plain.digest);
  assert.notEqual(plain.digest, await treeOf(context, (await show(context, { ref: "plain" })).container?.lower ?? ""));

  const wrong = await capture(context, { name: "shifted", from: `${at.path}/upper`, idMap: MAP });
  assert.deepEqual(wrong.losses.map(({ kind }) => kind).sort(), ["mode", "owner", "xattr"]);
});

test("id map: what is exported for one has its ids, and reads back as the same tree; what is not mapped is listed", async (t) => {
  if (!requireCommands(t, "setfacl", "getfacl", "setcap", "getcap")) return;
  await using at = await openTestHost();
  await shell(CHANGES, at.source);
  await importLayer(at.context, { source: at.source, name: "base" });
  const [target, other] = [`${at.path}/out`, `${at.path}/narrow`];
  const whole = await exportTree(at.context, { ref: "base", target, idMap: MAP, verify: true });
  assert.deepEqual([whole.losses, whole.verified], [[], true]);
  await run("cp", ["-a", at.source, `${at.path}/by-hand`]);
  await shell(SHIFT, `${at.path}/by-hand`);
  assert.deepEqual(await compareManifests(`${at.path}/by-hand`, target), []);
  const { uid, gid, mode } = statSync(`${target}/suid`);
  assert.deepEqual([uid, gid, mode & 0o7777], [100_007, 100_007, 0o6755]);

  const narrow = await exportTree(at.context, { ref: "base", target: other, idMap: ["b:0:100000:6"] });
  assert.deepEqual(narrow.losses.map(({ kind }) => kind).sort(), ["mode", "owner", "xattr"]);
  assert.equal(statSync(`${other}/suid`).mode & 0o7777, 0o755);
  assert.equal(statSync(`${other}/suid`).uid, 100_000);
});

test("id map: containers with one share an export of their own, open to their root and to nobody else", async (t) => {
  if (!requireRoot(t)) return;
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await importLayer(context, { source: at.source, name: "base" });
  await create(context, { source: "base", name: "plain", lxcPath });
  await clone(context, { ref: "base", names: ["one", "two"], lxcPath, idMap: MAP });
  await clone(context, { ref: "base", names: ["other"], lxcPath, idMap: ["b:0:300000:65536"] });
  const [plain, one, two, other] = [
    await start(at, "plain"),
    await start(at, "one"),
    await start(at, "two"),
    await start(at, "other"),
  ];
  assert.equal(one.lower, two.lower);
  assert.equal(new Set([plain.lower, one.lower, other.lower]).size, 3);
  assert.equal(statSync(`${one.lower}/etc/hosts`).uid, 100_000);
  assert.equal(statSync(`${other.lower}/etc/hosts`).uid, 300_000);
  assert.equal(statSync(`${plain.lower}/etc/hosts`).uid, 0);
  assert.throws(() => writeFileSync(`${one.lower}/x`, ""), { code: "EROFS" });

  assert.match(await as(100_000, "cat", `${one.lower}/etc/hosts`), /localhost/);
  for (const id of [65534, 100_001, 300_000]) {
    await assert.rejects(as(id, "cat", `${one.lower}/etc/hosts`), /Permission denied/, String(id));
    await assert.rejects(as(id, "ls", `${lxcPath}/one/delta0`), /Permission denied/, String(id));
  }
  assert.equal(await as(100_000, "ls", `${lxcPath}/one/delta0`), "");
  await create(context, { source: "base", name: "changed", noLxc: true });
  await using view = await openContainer(context, { name: "changed" });
  await view.promises.writeFile("/secret", "in a database that was not there before");
  for (const part of [...readdirSync(at.store.paths.directory), "", "mapped"].map(
    (name) => `${at.store.paths.directory}/${name}`,
  )) {
    const command = lstatSync(part).isDirectory() ? "ls" : "cat";
    await assert.rejects(as(100_000, command, part), /Permission denied/, part);
  }
  await assert.rejects(as(100_000, "ls", plain.lower), /Permission denied/);
  await assert.rejects(as(100_000, "touch", `${lxcPath}/one/x`), /Permission denied/);

  const exported = await listExports(context);
  assert.deepEqual(
    exported
      .map(({ idMap, users, changed }) => ({ idMap, users, changed }))
      .sort((a, b) => (a.users < b.users ? -1 : 1)),
    [
      { idMap: RANGES, users: ["one", "two"], changed: [] },
      { idMap: ["u:0:300000:65536", "g:0:300000:65536"], users: ["other"], changed: [] },
      { idMap: [], users: ["plain"], changed: [] },
    ],
  );
  const secret = one.lower.replace("/mapped/", "/private/mapped/");
  writeFileSync(`${secret}/etc/hosts`, "changed");
  assert.deepEqual((await listExports(context)).find(({ path }) => path === one.lower)?.changed, ["etc/hosts"]);

  await assert.rejects(unexport(context, { refs: ["base"] }), { code: "REFUSED" });
  await remove(context, { names: ["one", "two"] });
  await unexport(context, {});
  assert.ok(!existsSync(one.lower) && existsSync(other.lower) && existsSync(plain.lower));
  assertNothingHalfMade(at, dirname(secret));
});

test("id map: clones inherit it, can have another or none, and take it from a config; configs say so", async (t) => {
  if (!requireRoot(t)) return;
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  const settings = ["lxc.rootfs.options=metacopy=off"];
  await create(context, { source: at.source, name: "web", lxcPath, idMap: MAP, settings });
  const of = (name: string): unknown => {
    const config = readConfig(`${lxcPath}/${name}/config`);
    const rootfs = parseRootfsPath(getValue(config, "lxc.rootfs.path") ?? "");
    const lower = rootfs.type === "overlay" ? rootfs.lowers[0] : undefined;
    return {
      map: getValues(config, "lxc.idmap"),
      options: getValue(config, "lxc.rootfs.options"),
      isMapped: lower?.startsWith(`${at.store.paths.mapped}/`),
    };
  };
  const mapped = (first: number) => ({
    map: [`u 0 ${first} 65536`, `g 0 ${first} 65536`],
    options: "metacopy=off,userxattr",
    isMapped: true,
  });
  assert.deepEqual(of("web"), mapped(100_000));
  await clone(context, { ref: "web", names: ["same"], lxcPath });
  assert.deepEqual(of("same"), mapped(100_000));
  await clone(context, { ref: "web", names: ["moved"], lxcPath, idMap: ["b:0:200000:65536"] });
  assert.deepEqual(of("moved"), mapped(200_000));
  await clone(context, { ref: "web", names: ["plain"], lxcPath, idMap: [] });
  assert.deepEqual(of("plain"), { map: [], options: "metacopy=off", isMapped: false });
  await clone(context, { ref: "web", names: ["bare"], noLxc: true });
  await clone(context, { ref: "bare", names: ["again"], lxcPath, settings });
  assert.deepEqual(of("again"), mapped(100_000));

  const lines = ["lxc.idmap=u 0 100000 65536", "lxc.idmap=g 0 100000 65536"];
  await clone(context, { ref: "plain", names: ["set"], lxcPath, settings: lines });
  assert.deepEqual(of("set"), mapped(100_000));
  const config = `${at.path}/config`;
  writeFileSync(config, "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n");
  await create(context, { source: at.source, name: "given", lxcPath, config });
  assert.deepEqual(of("given"), { ...mapped(100_000), options: "userxattr" });

  const before = await list(context);
  for (const idMap of [["b:1:100000:65536"], ["b:0:100000:10", "u:5:200000:10"], ["nonsense"]])
    await assert.rejects(clone(context, { ref: "web", names: ["x"], lxcPath, idMap }), { code: "USAGE" });
  chmodSync(lxcPath, 0o700);
  await assert.rejects(clone(context, { ref: "web", names: ["x"], lxcPath }), { code: "REFUSED" });
  assert.deepEqual(await list(context), before);
  assertNothingHalfMade(at, lxcPath);
});

test("id map: an upper made from the record is mapped, and captured it is the same tree; another's files are losses", async (t) => {
  if (!requireCommands(t, "setfacl", "setcap")) return;
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await create(context, { source: at.source, name: "web", noLxc: true });
  mkdirSync(`${at.path}/delta`);
  await shell(
    "mkdir etc new; setfacl -m u:33:rwx new; touch new/f; chown 7:8 new/f; mknod etc/link c 0 0",
    `${at.path}/delta`,
  );
  const { digest } = await capture(context, { name: "web", from: `${at.path}/delta` });
  await clone(context, { ref: "web", names: ["mapped"], lxcPath, idMap: MAP });
  const { upper } = await start(at, "mapped");
  assert.deepEqual([statSync(`${upper}/new/f`).uid, statSync(`${upper}/new/f`).gid], [100_007, 100_008]);
  assert.equal(statSync(upper).uid, 100_000);
  assert.equal(statSync(dirname(upper)).gid, 100_000);
  mkdirSync(`${dirname(upper)}/work`);
  const same = await capture(context, { name: "mapped" });
  assert.deepEqual([same.digest, same.losses], [digest, []]);

  mkdirSync(`${dirname(upper)}/work`);
  writeFileSync(`${upper}/new/hosts-root`, "");
  const foreign = await capture(context, { name: "mapped" });
  assert.deepEqual(foreign.losses, [{ kind: "owner", count: 1, examples: ["new/hosts-root"] }]);
});
