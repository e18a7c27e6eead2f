import assert from "node:assert/strict";
import { chmod, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { cliStore, documentOf, failureOf, smallTree } from "../support/cli.ts";
import type { CliStore } from "../support/cli.ts";

async function twoLayers(cli: CliStore): Promise<void> {
  await smallTree(`${cli.path}/tree`);
  await mkdir(`${cli.path}/tree/gone`);
  await writeFile(`${cli.path}/tree/gone/a`, "a");
  await writeFile(`${cli.path}/tree/tool`, "tool");
  await cli.delta0(["import", "tree", "one"]);
  await writeFile(`${cli.path}/tree/etc/hosts`, "127.0.0.1 other\n");
  await writeFile(`${cli.path}/tree/new`, "new\n");
  await rm(`${cli.path}/tree/gone`, { recursive: true });
  await chmod(`${cli.path}/tree/tool`, 0o700);
  await rename(`${cli.path}/tree/srv/page`, `${cli.path}/tree/srv/moved`);
  await cli.delta0(["import", "tree", "two", "--parent", "one"]);
}

test("cli: diff in each of its forms, with exit code 1 where something differs", async () => {
  await using cli = await cliStore();
  await twoLayers(cli);
  const out = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cli.delta0(["diff", ...args, "--ignore", "mtime"]);
    assert.equal(stderr, "");
    assert.equal(code, 1);
    return stdout;
  };
  const expected = "M etc/hosts\nD gone  (with 1 entry below, 1 B)\nA new\nR srv/page -> srv/moved\nm tool  (mode)\n";
  assert.equal(await out("two"), expected);
  assert.equal(await out("one", "two"), expected);
  assert.equal(await out("one", "./tree"), expected);
  assert.equal(await out("one", "dir:tree"), expected);
  assert.match(await out("two", "-v", "--path", "/tool"), /^m tool {2}\(mode 0644 -> 0700\)\n$/);
  const names = "M\tetc/hosts\nD\tgone\nA\tnew\nR\tsrv/page\tsrv/moved\nm\ttool\n";
  assert.equal(await out("two", "--name-status"), names);
  assert.match(await out("two", "--no-renames", "--name-status"), /^D\tsrv\/page$/m);
  const stat = await out("two", "--stat");
  assert.match(stat, /^ etc\/hosts +\| 20 B -> 16 B$/m);
  assert.match(stat, /^ 1 added, 2 removed, 1 changed, 1 renamed, 1 of other metadata; \+4 B -5 B$/m);
  const patch = await out("two", "-p");
  assert.match(patch, /^-127.0.0.1 localhost\n\+127.0.0.1 other$/m);
  assert.match(patch, /^rename from srv\/page$/m);

  const document = documentOf(await cli.delta0(["diff", "two", "--json", "-p"]));
  const changes = document["changes"] as Record<string, unknown>[];
  assert.equal(document["schema"], "delta0/diff@1");
  const hosts = changes.find(({ path }) => path === "etc/hosts");
  assert.deepEqual([hosts?.["kind"], (hosts?.["before"] as Record<string, unknown>)["sizeBytes"]], ["changed", 20]);
  assert.match(String(hosts?.["patch"]), /^diff --git a\/etc\/hosts b\/etc\/hosts\n/m);
  assert.match(String((hosts?.["after"] as Record<string, unknown>)["content"]), /^blake3:[0-9a-f]{64}$/);

  assert.deepEqual(await cli.delta0(["diff", "two", "two"]), { code: 0, stdout: "", stderr: "" });
  assert.deepEqual(
    await cli.delta0(["diff", "two", "tree", "-p"]).then(({ code }) => code),
    4,
    "what has no slash is a ref",
  );
  for (const args of [
    ["two", "--stat", "-p"],
    ["two", "--ignore", "everything"],
    ["two", "--path", "a/../b"],
  ])
    assert.equal(failureOf(await cli.delta0(["diff", ...args, "--json"]))["code"], "USAGE", args.join(" "));
});

test("cli: diff --packages, log, tree, blame and whohas tell people and programs the same", async () => {
  await using cli = await cliStore();
  const stanza = (version: string): string =>
    `Package: web\nStatus: install ok installed\nArchitecture: all\nVersion: ${version}\n\n`;
  await mkdir(`${cli.path}/tree/var/lib/dpkg`, { recursive: true });
  await writeFile(`${cli.path}/tree/var/lib/dpkg/status`, stanza("1.9"));
  await cli.delta0(["import", "tree", "one", "-m", "first"]);
  await writeFile(`${cli.path}/tree/var/lib/dpkg/status`, stanza("1.10"));
  await writeFile(`${cli.path}/tree/mine`, "mine");
  await cli.delta0(["import", "tree", "two", "--parent", "one"]);
  const packages = await cli.delta0(["diff", "two", "--packages"]);
  assert.equal(packages.stdout, "web  1.9 -> 1.10  upgraded\n1 changed file belongs to no package\n");
  assert.equal(packages.code, 1);
  const [change] = documentOf(await cli.delta0(["diff", "two", "--packages", "--json"]))["packages"] as object[];
  const expected = { manager: "dpkg", name: "web", kind: "upgraded", before: "1.9", after: "1.10" };
  assert.deepEqual(change, { ...expected, configurationLeft: false });

  const lines = (result: { stdout: string }): string[] => result.stdout.trimEnd().split("\n");
  const [head = "", two = "", one = ""] = lines(await cli.delta0(["log", "two"]));
  assert.match(head, /^STATE +TIME +SIZE +BYTES +FILES +MESSAGE$/);
  assert.match(two, /^two .*\+5 B +\+1 +.*\/tree$/);
  assert.match(one, /^one .*first$/);
  await cli.delta0(["create", "one", "c", "--no-lxc"]);
  assert.deepEqual(
    lines(await cli.delta0(["tree"])).map((line) => line.split(/ {2}/)[0]),
    ["one", "├ two", "└ c"],
  );
  assert.match(lines(await cli.delta0(["blame", "two:/mine"]))[1] ?? "", /^two .* added /);
  assert.match((await cli.delta0(["whohas", "/mine"])).stdout, /^two +layer +\/mine +4 B +blake3:[0-9a-f]{16}…?\n$/);
  for (const [verb, ...args] of [["log", "two"], ["tree"], ["blame", "two:/mine"], ["whohas", "/mine"]] as const) {
    const document = documentOf(await cli.delta0([verb, ...args, "--json"]));
    assert.equal(document["schema"], `delta0/${verb}@1`);
    for (const item of document["items"] as Record<string, unknown>[])
      assert.match(String(item["digest"]), /^blake3:[0-9a-f]{64}$/);
  }
});

test("cli: bisect says each step, the first bad layer and how to look at it; 4 if that is one of several", async () => {
  await using cli = await cliStore();
  await smallTree(`${cli.path}/tree`);
  for (let number = 0; number < 4; number++) {
    await writeFile(`${cli.path}/tree/n`, String(number));
    const parent = number === 0 ? [] : ["--parent", `l${number - 1}`];
    await cli.delta0(["import", "tree", `l${number}`, "-m", `change ${number}`, ...parent]);
  }
  const bisect = (script: string, ...options: string[]): ReturnType<typeof cli.delta0> =>
    cli.delta0(["bisect", "l0", "l3", "--export", ...options, "--", "sh", "-c", script]);
  const found = await bisect('echo heard; test "$(cat n)" -lt 2');
  assert.match(found.stdout, /^first bad: l2 {2}.* {2}change 2\nlast good: l1 \(2 tests\)\ndelta0 diff l1 l2\n$/);
  assert.equal(found.stderr, "heard\ngood     l1  (exit 0)\nheard\nbad      l2  (exit 1)\n");
  assert.equal(found.code, 0);
  const document = documentOf(await bisect('test "$(cat n)" -lt 2', "--json"));
  assert.deepEqual([document["schema"], document["compare"]], ["delta0/bisect@1", "delta0 diff l1 l2"]);
  const several = await bisect("exit 125", "-q");
  assert.deepEqual([several.code, several.stderr], [4, ""]);
  assert.match(several.stdout, /^l3 .*change 3$/m);
  assert.equal(failureOf(await cli.delta0(["bisect", "l3", "l0", "--json", "--", "true"]))["code"], "USAGE");
});
