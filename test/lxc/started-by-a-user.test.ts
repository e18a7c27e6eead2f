import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { type CliStore, DELTA0_WORDS, documentOf } from "../support/cli.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { userBlocks } from "./guide.ts";
import { busyboxRootfs, lxcHost } from "./support.ts";

/** As busybox has no `chown -h` for all, each line changes one thing, and sets the mtimes that it changed. */
const SCRIPT = `set -e
  cd /work
  echo new >file; chown 33:44 file; chmod 600 file
  rm -r merged; mkdir merged; echo over >merged/other; chown 7:7 merged
  rm gone; ln file hard; ln -s nowhere link; chown -h 5:5 link
  touch -h -d @1600000000 link; touch -d @1600000000 file merged/other merged .
  touch -d @1400000000 /`;

/** A user of this host with ids for containers. */
interface User extends AsyncDisposable {
  readonly uid: number;
  /** A line of shell as that user, at home; `mine` is delta0 in his user namespace, as docs/lxc.md has it. */
  readonly shell: (line: string) => Promise<string>;
}

async function makeUser(at: CliStore): Promise<User> {
  const name = `d0t${process.pid}`;
  const home = `${at.path}/home`;
  const remove = (): Promise<string> => run("userdel", ["--force", name]);
  await run("useradd", ["--no-create-home", "--home-dir", home, name]);
  try {
    const ids = `${FIRST_ID}-${FIRST_ID + 65_535}`;
    await run("usermod", ["--add-subuids", ids, "--add-subgids", ids, name]);
    const [uid = 0, gid = 0] = (await Promise.all(["-u", "-g"].map((what) => run("id", [what, name])))).map(Number);
    for (const directory of [home, `${home}/lxc`]) mkdirSync(directory);
    await run("chown", ["-R", `${uid}:${gid}`, home]);
    writeFileSync(`${home}/delta0`, `#!/bin/sh\nexec ${DELTA0_WORDS} "$@"\n`, { mode: 0o755 });
    const head = `set -e; cd; PATH=$HOME:$PATH\n${guided(0)}`;
    const as = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"];
    return {
      uid,
      shell: (line) => run("setpriv", [...as, "env", `HOME=${home}`, `USER=${name}`, "bash", "-c", `${head}\n${line}`]),
      [Symbol.asyncDispose]: async () => {
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Of no other test, and of no user that useradd gives ids to. */
const FIRST_ID = 1_900_000_000;

test("user: his container, of a store in his namespace, runs, is captured with its own ids by the hook, and cloned", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "useradd", "setpriv", "lxc-usernsexec", "newuidmap")) return;
  await using at = await lxcHost();
  const rootfs = await busyboxRootfs(`${at.path}/rootfs`);
  await run("sh", ["-ec", MORE, "sh", rootfs]);
  await using user = await makeUser(at);
  await run("tar", ["-C", rootfs, "-cf", `${at.path}/home/base.tar`, "."]);
  const home = `${at.path}/home`;
  await user.shell(guided(1));
  assert.equal(statSync(`${home}/store`).uid, user.uid);
  try {
    const init = (await user.shell(`lxc-info -P $HOME/lxc -n web -p -H`)).trim();
    assert.equal(statSync(`/proc/${init}`).uid, user.uid);
    assert.match(readFileSync(`/proc/${init}/uid_map`, "utf8"), new RegExp(`^ *0 +${user.uid} +1\\n *1 +${FIRST_ID} `));
    await user.shell(`lxc-attach -P $HOME/lxc -n web -- /bin/sh -c '${SCRIPT}'`);
  } finally {
    await user.shell(`lxc-stop -P $HOME/lxc -n web -k`);
  }
  assert.equal(statSync(`${home}/lxc/web/delta0/work/file`).uid, FIRST_ID + 32);
  assert.deepEqual(readdirSync(`${home}/lxc/web`).sort(), ["config", "delta0", "rootfs"], "post-stop has captured it");

  // The same by root, in a container without a map.
  await at.ok("import", `${home}/base.tar`, "base");
  await at.ok("create", "base", "web");
  await at.lxc("lxc-start", "web");
  await at.attach("web", SCRIPT);
  await at.lxc("lxc-stop", "web", "-k");
  const shown = JSON.parse(await user.shell("mine show web --json")) as { digest: string };
  assert.equal(shown.digest, documentOf(await at.ok("show", "web", "--json"))["digest"]);

  await user.shell(`mine clone web twin; lxc-start -P $HOME/lxc -n twin`);
  const seen = await user.shell(`lxc-attach -P $HOME/lxc -n twin -- /bin/sh -c 'cat /work/file; ls /work/merged'
    lxc-stop -P $HOME/lxc -n twin -k; mine rm web twin; mine unexport`);
  assert.match(seen, /^new\nother\n/);
  assert.deepEqual(readdirSync(`${home}/lxc`), []);
  assert.ok(!existsSync(`${home}/lxc/web`));
});

/** For a root filesystem on which `SCRIPT` runs. */
const MORE = `mkdir "$1/sbin"; printf '#!/bin/sh\\nexec sleep 1000\\n' >"$1/sbin/init"; chmod 755 "$1/sbin/init"
  for applet in chown touch; do ln -sf busybox "$1/bin/$applet"; done
  mkdir -p "$1/work/merged/below"; cd "$1/work"
  echo old >merged/below/file; echo old >gone; chown 33:33 merged/below/file; chmod 600 merged/below/file`;

/** A block of the guide, with ids that no user of this host has. */
function guided(index: number): string {
  const text = userBlocks()[index];
  assert.ok(text !== undefined);
  return text.replaceAll("200000", String(FIRST_ID));
}
