import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { readManifest, readManifestHeader } from "../../src/exports/manifest.ts";
import { formatSshKey, parseSshKeyKind } from "../../src/format/ssh-key.ts";
import { cloneConfig, withOwnIdentity } from "../../src/lxc/clone-config.ts";
import {
  formatConfig,
  parseConfig,
  parseSetting,
  replaceInValues,
  setValue,
  settingsOf,
} from "../../src/lxc/config-file.ts";
import { idMapOf, withIdMap } from "../../src/lxc/id-map-config.ts";
import { modernConfig } from "../../src/lxc/legacy-config.ts";
import { plainConfig } from "../../src/lxc/plain-config.ts";
import { parseRootfsPath } from "../../src/lxc/rootfs-path.ts";
import { requireDuration } from "../../src/model/duration.ts";
import { parseIdMap } from "../../src/model/id-map.ts";
import { requireSize } from "../../src/model/size.ts";
import { readApk } from "../../src/packages/apk.ts";
import { compareVersions } from "../../src/packages/compare-versions.ts";
import { readDpkg } from "../../src/packages/dpkg.ts";
import { readRpm } from "../../src/packages/rpm.ts";
import type { PackageFiles } from "../../src/packages/package-files.ts";
import { aclValue } from "../../src/sources/tar-acl.ts";
import { MalformedTar } from "../../src/sources/tar-malformed.ts";
import { mutatedBytes } from "./mutate.ts";
import { requireSame, typed } from "./target.ts";
import type { Target } from "./target.ts";

const CONFIG = Buffer.from(`# a config
lxc.include = /usr/share/lxc/config/common.conf
lxc.rootfs.path = overlay:/store/exports/abc:/var/lib/lxc/web/delta0
lxc.rootfs.options = userxattr,noatime
lxc.uts.name = "web"
lxc.id_map = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.network.type = veth
lxc.network.hwaddr = 00:16:3e:12:34:56
lxc.net.0.hwaddr = 00:16:3e:xx:xx:xx
lxc.mount.entry = proc proc proc nodev,noexec 0 0
lxc.hook.pre-start =
not a setting
`);

const configs: Target = {
  name: "LXC configs",
  weight: 10,
  run: (random) => {
    const bytes = mutatedBytes(random, CONFIG);
    const config = parseConfig(bytes);
    requireSame(formatConfig(config), bytes);
    for (const { value } of settingsOf(config)) typed(() => parseRootfsPath(value));
    typed(() => modernConfig(config));
    typed(() => withIdMap(config, idMapOf(config)));
    typed(() => withOwnIdentity(config, "host"));
    typed(() => plainConfig(config, "/store/lxc/hooks.conf"));
    typed(() => replaceInValues(config, /web/g, "new"));
    const names = { originalName: "web", name: "new", originalDirectory: "/l/web", directory: "/l/new" };
    typed(() => cloneConfig(config, { ...names, rootfs: "dir:/x" }));
    const line = mutatedBytes(random, Buffer.from("lxc.start.auto=1")).toString("utf8");
    const setting = typed(() => parseSetting(line));
    if (setting === undefined) return;
    const set = typed(() => formatConfig(setValue(parseConfig("lxc.a = 1\n"), setting.key, setting.value)));
    if (set !== undefined && settingsOf(parseConfig(set)).length > 2) throw new Error("a value became two settings");
  },
};

const MANIFEST = Buffer.from(
  [`["${"ab".repeat(32)}",["u:0:100000:65536","g:0:100000:65536"],2,5000]`, "1 2 3.4\ta", "5 6 7.8\ta/b", ""].join(
    "\0",
  ),
);

/** @param directory where it may write files */
function manifests(directory: string): Target {
  return {
    name: "manifests of exports",
    weight: 2,
    run: (random) => {
      writeFileSync(`${directory}/manifest`, mutatedBytes(random, MANIFEST));
      typed(() => readManifest(`${directory}/manifest`));
      typed(() => readManifestHeader(`${directory}/manifest`));
    },
  };
}

const KEYS = [
  generateKeyPairSync("ed25519").privateKey,
  generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
].flatMap((key) => [formatSshKey(key, "root@web").privateKey, key.export({ type: "pkcs8", format: "pem" }).toString()]);

const sshKeys: Target = {
  name: "SSH keys",
  weight: 4,
  run: (random) => {
    parseSshKeyKind(mutatedBytes(random, Buffer.from(random.pick(KEYS))).toString("latin1"));
    const key = random.pick(KEYS);
    const [begin, base64, end] = [key.split("\n")[0], key.split("\n").slice(1, -2).join(""), key.split("\n").at(-2)];
    const blob = mutatedBytes(random, Buffer.from(base64, "base64")).toString("base64");
    parseSshKeyKind([begin, blob, end, ""].join("\n"));
  },
};

const DPKG = `Package: nginx
Status: install ok installed
Conffiles:
 /etc/nginx/nginx.conf 0123456789abcdef0123456789abcdef
 /lib/nginx/obsolete 0123456789abcdef0123456789abcdef obsolete
Architecture: all
Version: 1:1.22.1-9~deb12u1
`;
const APK = `C:Q1ppO8Hk
P:musl
V:1.2.5-r0
A:x86_64
F:lib
M:0:0:755
R:ld-musl.so
Z:Q1ISMz19w0k2zBjsPxA8zcyHwWS5Q=
`;
const RPM_FILES = {
  "rpmdb.sqlite": ["rpmdb.sqlite", "rpmdb.sqlite-wal"],
  "Packages.db": ["Packages.db"],
  Packages: ["Packages"],
  "Packages-big-endian": ["Packages-big-endian"],
};

function data(name: string): Buffer {
  return gunzipSync(readFileSync(new URL(`../packages/data/${name}.gz`, import.meta.url)));
}

function filesOf(files: Readonly<Record<string, Uint8Array>>): PackageFiles {
  return { open: (path) => files[path] && [files[path]], list: () => [], merged: (path) => path };
}

function packages(): Target {
  const rpm = new Map(Object.values(RPM_FILES).flatMap((names) => names.map((name) => [name, data(name)] as const)));
  return {
    name: "package databases",
    weight: 6,
    run: (random) => {
      const text = (seed: string): Buffer => mutatedBytes(random, Buffer.from(seed.repeat(1 + random.below(3))));
      typed(() =>
        readDpkg(filesOf({ "var/lib/dpkg/status": text(DPKG), "var/lib/dpkg/info/nginx.list": text("/.\n/etc\n") })),
      );
      typed(() => readApk(filesOf({ "lib/apk/db/installed": text(APK) })));
      const version = (): string => mutatedBytes(random, Buffer.from("1:1.22.1~rc1-9+b2")).toString("latin1");
      const [a, b] = [version(), version()];
      for (const manager of ["dpkg", "apk", "rpm"] as const)
        if (Math.sign(compareVersions(manager, a, b)) !== -Math.sign(compareVersions(manager, b, a)))
          throw new Error(`versions ${JSON.stringify([a, b])} of ${manager} have no order`);
      if (!random.once(4)) return;
      const [, names] = random.pick(Object.entries(RPM_FILES));
      const files = names.map(
        (name) => [`var/lib/rpm/${name.replace("-big-endian", "")}`, mutatedBytes(random, rpm.get(name)!)] as const,
      );
      typed(() => readRpm(filesOf(Object.fromEntries(files))));
    },
  };
}

const arguments_: Target = {
  name: "ids, sizes, times, ACLs as text",
  weight: 6,
  run: (random) => {
    const text = (seed: string): string => mutatedBytes(random, Buffer.from(seed)).toString("latin1");
    typed(() => parseIdMap([text("b:0:100000:65536"), text("u 1000 1000 1")]));
    typed(() => requireSize(text("1.5GiB")));
    typed(() => requireDuration(text("1w2d")));
    try {
      aclValue(text("user::rwx,user:root:r-x:0,group::r-x #x\nmask::r-x,other::---"));
    } catch (error) {
      // The tar reader says where.
      if (!(error instanceof MalformedTar)) throw error;
    }
  },
};

/** @param directory where files may be written */
export function textTargets(directory: string): readonly Target[] {
  return [configs, manifests(directory), sshKeys, packages(), arguments_];
}
