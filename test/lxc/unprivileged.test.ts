import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { documentOf } from "../support/cli.ts";
import { requireCommands, requireLxc, requireRootfs } from "../support/requirements.ts";
import { rootfsTar } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { allowIds, busyboxRootfs, type LxcHost, lxcHost, SLEEP } from "./support.ts";

const MAP = ["--idmap", "b:0:100000:65536"];

async function digestOf(at: LxcHost, ref: string): Promise<unknown> {
  return documentOf(await at.ok("show", ref, "--json"))["digest"];
}

/** Sets each mtime that it changes, those of directories last. */
const SCRIPT = `set -e
  cd /work
  echo new >file; cp -p file copy; ln file hard; ln -s file link; mkfifo fifo
  chown 33:44 file; chown -h 5:5 link; chmod 4755 copy
  setfacl -m u:33:rwx,g:1000:r tree; setfacl -d -m u:33:rx,u:7:rwx tree; setfacl -m u:1000:rw copy
  setcap cap_net_raw,cap_chown+ep hard
  rm -rf merged; mkdir merged; echo over >merged/other
  rm gone; mv kept moved; printf end >>large; truncate -s 3M sparse; chown -R 1000:1000 tree; chmod 2770 tree
  /bin/touch -h -d @1600000000.123456789 link
  /bin/touch -d @1600000000.123456789 file copy fifo merged/other moved large sparse tree/* 
  /bin/touch -d @1500000000 merged tree .
  /bin/touch -d @1400000000 /`;

/** A root filesystem on which `SCRIPT` runs, with this host's programs for ACLs and capabilities and what they need. */
async function scriptRootfs(directory: string): Promise<string> {
  await busyboxRootfs(directory);
  for (const applet of ["chown", "cp", "mkfifo", "printf", "test", "rmdir"])
    await run("ln", ["-s", "busybox", `${directory}/bin/${applet}`]);
  const script = `set -e
    for program in setfacl getfacl setcap getcap touch truncate; do
      path=$(command -v $program)
      rm -f $1/bin/$program; cp -L "$path" $1/bin/$program
      ldd "$path" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$1\${library%/*}"; cp -nL "$library" "$1$library"
      done
    done
    mkdir -p $1/work/merged/below $1/work/tree
    cd $1/work
    echo old >merged/below/file; echo old >merged/other; echo old >gone; echo old >kept; echo one >tree/one
    head -c 300000 /dev/zero | tr '\\0' x >large`;
  await run("sh", ["-c", script, "sh", directory]);
  return directory;
}

test("unprivileged: a script leaves the same tree in a privileged and an unprivileged container, twice over", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "setfacl", "setcap", "busybox")) return;
  allowIds();
  await using at = await lxcHost();
  await at.ok("import", await scriptRootfs(`${at.path}/rootfs`), "base");
  await at.ok("create", "base", "priv", ...SLEEP);
  await at.ok("create", "base", "unpriv", ...SLEEP, ...MAP);
  for (const name of ["priv", "unpriv"]) await at.lxc("lxc-start", name);
  assert.match(await at.attach("unpriv", "cat /proc/self/uid_map"), /^ *0 +100000 +65536$/m);
  for (const name of ["priv", "unpriv"]) {
    await at.attach(name, SCRIPT);
    await at.lxc("lxc-stop", name, "-k");
  }
  const { uid, gid } = statSync(`${at.lxcPath}/unpriv/delta0/work/file`);
  assert.deepEqual([uid, gid], [100_033, 100_044]);
  assert.ok(!existsSync(`${at.lxcPath}/unpriv/work`), "post-stop has captured it");
  assert.equal(await digestOf(at, "unpriv"), await digestOf(at, "priv"));

  // What the store holds is shown to both kinds, whichever it came from, by an upper that the store makes.
  await at.ok("clone", "unpriv", "inherits");
  await at.ok("clone", "unpriv", "now-priv", "--idmap", "none");
  await at.ok("clone", "priv", "now-unpriv", ...MAP);
  const look = `cd /work; ls -lanR . | sed 's/^total.*//; s/^\\(d[^ ]* *\\)[0-9]*/\\1-/'; getfacl -nR . ; getcap -rn .; cat merged/* moved`;
  const seen = new Map<string, string>();
  for (const name of ["priv", "unpriv", "inherits", "now-priv", "now-unpriv"]) {
    await at.lxc("lxc-start", name);
    seen.set(name, await at.attach(name, look));
    await at.lxc("lxc-stop", name, "-k");
  }
  assert.match(seen.get("priv") ?? "", /cap_net_raw/);
  assert.match(seen.get("priv") ?? "", /user:33:rwx/);
  for (const [name, text] of seen) assert.equal(text, seen.get("priv"), name);
  for (const name of seen.keys()) assert.equal(await digestOf(at, name), await digestOf(at, "priv"), name);

  const { stdout } = await at.ok("exports");
  assert.match(stdout, /u:0:100000:65536 g:0:100000:65536 .* mounted|u:0:100000:65536 g:0:100000:65536 .* used/);
  assert.equal((await at.delta0(["status", "unpriv"])).code, 1);
  await at.ok("commit", "unpriv", "layer");
  assert.equal((await at.delta0(["status", "unpriv"])).code, 0);
});

test("unprivileged: a Debian boots, is changed, captured and committed; clones of that layer boot in either way", async (t) => {
  if (!requireLxc(t) || !requireRootfs(t, "bookworm") || !requireCommands(t, "setfacl", "setcap")) return;
  allowIds();
  await using at = await lxcHost();
  await at.ok("import", await rootfsTar("bookworm"), "base");
  await at.ok("create", "base", "web", ...MAP);
  const programs = await run("sh", [
    "-c",
    "for program in setfacl getfacl setcap getcap; do command -v $program; done",
  ]);
  await at.ok("put", ...programs.trim().split("\n"), "web:/usr/local/bin");
  await at.lxc("lxc-start", "web");
  assert.equal(await booted(at, "web"), "running");
  const change = `set -e
    rm -rf /usr/share/doc/base-files && mkdir /usr/share/doc/base-files && echo new >/usr/share/doc/base-files/new
    cp /bin/true /usr/local/bin/capable && setcap cap_net_raw+ep /usr/local/bin/capable
    chown 1234:4321 /etc/issue && setfacl -m u:1234:rwx /usr/local/share && chmod 4711 /usr/bin/perl && sync`;
  await at.attach("web", change);
  await at.lxc("lxc-stop", "web", "-t", "20");
  const status = await at.delta0(["status", "web", "--json"]);
  assert.equal(status.code, 1, status.stderr);
  assert.equal(status.stderr, "");
  await at.ok("commit", "web", "changed");
  await at.ok("clone", "changed", "unpriv", ...MAP);
  await at.ok("clone", "changed", "priv");
  const look = `stat -c '%u:%g %a %n' /etc/issue /usr/bin/perl; getfacl -np /usr/local/share; getcap -n /usr/local/bin/capable
    ls /usr/share/doc/base-files`;
  for (const name of ["web", "unpriv", "priv"]) {
    await at.lxc("lxc-start", name);
    assert.equal(await booted(at, name), "running", name);
    const seen = await at.attach(name, look);
    assert.match(seen, /^1234:4321 644 \/etc\/issue\n0:0 4711 \/usr\/bin\/perl\n/, name);
    assert.match(seen, /^user:1234:rwx\n[^]*^\/usr\/local\/bin\/capable cap_net_raw=ep\nnew\n$/m, name);
    await at.lxc("lxc-stop", name, "-t", "20");
  }
});

async function booted(at: LxcHost, name: string): Promise<string> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const state = await at.attach(name, "systemctl is-system-running || true").catch(() => "");
    if (["running", "degraded", "maintenance"].includes(state.trim()) || Date.now() > deadline) return state.trim();
    await sleep(200);
  }
}
