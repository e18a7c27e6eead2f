import assert from "node:assert/strict";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { test } from "node:test";
import { cliStore, documentOf, failureOf, smallTree } from "../support/cli.ts";
import type { CliResult, CliStore } from "../support/cli.ts";

interface CliContainer extends CliStore {
  /** Runs `delta0 ARGS`, which must succeed. */
  readonly ok: (...args: string[]) => Promise<CliResult>;
}

/** A layer `base`, and container `web` of it. */
async function cliContainer(): Promise<CliContainer> {
  const cli = await cliStore();
  const ok = async (...args: string[]): Promise<CliResult> => {
    const result = await cli.delta0(args);
    assert.equal(result.code, 0, `${args.join(" ")}: ${result.stderr}`);
    return result;
  };
  await smallTree(`${cli.path}/tree`);
  await ok("import", "tree", "base");
  await ok("create", "base", "web", "--no-lxc");
  return { ...cli, ok };
}

test("cli: each verb changes a container, says what it did, and what reads it shows that", async () => {
  await using cli = await cliContainer();
  const { ok } = cli;
  await writeFile(`${cli.path}/page`, "new page\n");
  for (const [args, said] of [
    [["put", "page", "tree/etc", "web:/srv"], /^web:\/srv\/page and 1 more: 4 entries, /],
    [["put", "-T", "tree/srv", "web:/srv/etc/srv"], /^web:\/srv\/etc\/srv: 2 entries, /],
    [["mkdir", "-p", "-m", "g-rwx,o=", "web:/a/b", "web:/a/b/c"], /^made web:\/a\/b\nmade web:\/a\/b\/c\n$/],
    [["mv", "web:/etc/hosts", "web:/a/b"], /^web:\/etc\/hosts -> \/a\/b\/hosts\n$/],
    [["mv", "-T", "-n", "web:/a/b/c", "web:/a/-odd name "], /^web:\/a\/b\/c -> \/a\/-odd name \n$/],
    [["ln", "web:/a/b/hosts", "web:/a"], /^web:\/a\/hosts = \/a\/b\/hosts\n$/],
    [["ln", "-sfT", "../gone", "web:/etc/link"], /^web:\/etc\/link -> \.\.\/gone\n$/],
    [["chmod", "-R", "u+X,go=", "web:/srv"], /^web:\/srv: \d modes changed\n$/],
    [["chmod", "--", "-w", "web:/a/hosts"], /^web:\/a\/hosts: 1 mode changed\n$/],
    [["chown", "-h", "12:34", "web:/etc/link"], /^web:\/etc\/link: 12:34\n$/],
    [["unlink", "web:/srv/etc/hosts"], /^removed web:\/srv\/etc\/hosts\n$/],
    [["unlink", "-r", "-f", "web:/srv/etc/srv", "web:/none"], /^removed web:\/srv\/etc\/srv\nremoved web:\/none\n$/],
    [["xattr", "set", "user.note", "a b", "web:/srv/page"], /^web:\/srv\/page has user\.note\n$/],
  ] as const)
    assert.match((await ok(...args)).stdout, said, args.join(" "));
  assert.equal((await ok("xattr", "get", "user.note", "web:/srv/page")).stdout, "a b\n");
  assert.equal((await ok("xattr", "list", "web:/srv/page")).stdout, "user.note\n");
  await ok("-q", "xattr", "remove", "user.note", "web:/srv/page");
  assert.equal(
    (await ok("find", "web")).stdout,
    [
      "/",
      "/a",
      "/a/-odd name ",
      "/a/b",
      "/a/b/hosts",
      "/a/hosts",
      "/etc",
      "/etc/link",
      "/srv",
      "/srv/etc",
      "/srv/etc/link",
      "/srv/page",
      "",
    ].join("\n"),
  );
  assert.equal((await ok("cat", "web:/srv/page")).stdout, "new page\n");
  assert.match((await ok("stat", "web:/a/b/hosts")).stdout, /^mode +04[04]{2}\n(.*\n)*inode +\d+, 2 names$/m);
  await mkdir(`${cli.path}/out`);
  await ok("get", "web:/srv", "out");
  assert.equal(await readFile(`${cli.path}/out/srv/page`, "utf8"), "new page\n");
  assert.equal((await ok("find", "base", "--type", "f")).stdout, "/etc/hosts\n/srv/page\n", "the layer stays");

  await ok("commit", "web", "base2");
  await ok("-q", "unlink", "web:/srv/page");
  assert.equal((await ok("cat", "base2:/srv/page")).stdout, "new page\n");
  const { digest } = documentOf(await ok("show", "base2", "--json"));
  assert.equal((await ok("cat", `${String(digest)}:/srv/page`)).stdout, "new page\n");
});

test("cli: standard input becomes a file", async () => {
  await using cli = await cliContainer();
  const put = await cli.delta0(["put", "-", "web:/etc/motd"], { input: "hello\n" });
  assert.deepEqual([put.code, put.stdout], [0, "web:/etc/motd: 1 entry, 6 B\n"]);
  assert.equal((await cli.ok("cat", "web:/etc/motd")).stdout, "hello\n");
  assert.equal((await cli.delta0(["put", "-", "web:/etc"], { input: "x" })).code, 2);
  assert.equal((await cli.delta0(["put", "-", "web:/none/x"], { input: "x" })).code, 4);
});

test("cli: a source is meant as cp means it: a slash after a symlink, a dot after a directory", async () => {
  await using cli = await cliContainer();
  await symlink("tree", `${cli.path}/way`);
  await cli.ok("put", "way", "web:/");
  await cli.ok("put", "tree/etc/.", "web:/srv");
  await cli.ok("mkdir", "web:/in");
  await cli.ok("put", "way/", "web:/in");
  assert.equal((await cli.ok("find", "web:/", "--type", "l")).stdout, "/etc/link\n/in/way/etc/link\n/srv/link\n/way\n");
});

test("cli: documents of what was changed", async () => {
  await using cli = await cliContainer();
  const document = async (...args: string[]): Promise<Record<string, unknown>> => {
    const found = documentOf(await cli.ok(...args, "--json"));
    const { digest, containers = [{ digest }] } = found as { digest?: string; containers?: { digest?: string }[] };
    if (args[1] !== "get")
      for (const changed of containers) assert.match(changed.digest ?? "", /^blake3:[0-9a-f]{64}$/);
    return { ...found, digest: undefined, containers: undefined };
  };
  const nothing = { digest: undefined, containers: undefined };
  assert.deepEqual(await document("put", "tree/srv", "web:/etc"), {
    ...nothing,
    schema: "delta0/put@1",
    name: "web",
    paths: ["/etc/srv"],
    entries: 2,
    bytes: 5000,
  });
  assert.deepEqual(await document("mkdir", "web:/a"), {
    ...nothing,
    schema: "delta0/mkdir@1",
    items: [{ ref: "web", path: "/a" }],
  });
  assert.deepEqual(await document("mv", "web:/srv", "web:/a"), {
    ...nothing,
    schema: "delta0/mv@1",
    items: [{ ref: "web", path: "/srv", to: "/a/srv" }],
  });
  assert.deepEqual(await document("ln", "-s", "a", "web:/b"), {
    ...nothing,
    schema: "delta0/ln@1",
    items: [{ ref: "web", path: "/b", target: "a" }],
  });
  assert.deepEqual(await document("chmod", "0700", "web:/a"), {
    ...nothing,
    schema: "delta0/chmod@1",
    items: [{ ref: "web", path: "/a", changed: 1 }],
  });
  assert.deepEqual(await document("chown", "5:6", "web:/a"), {
    ...nothing,
    schema: "delta0/chown@1",
    items: [{ ref: "web", path: "/a", uid: 5, gid: 6 }],
  });
  await cli.ok("xattr", "set", "user.a", "0x00", "web:/a");
  assert.deepEqual(await document("xattr", "get", "user.a", "web:/a"), {
    ...nothing,
    schema: "delta0/xattr-get@1",
    attribute: "user.a",
    items: [{ ref: "web", path: "/a", value: "0sAA==", valueBase64: "AA==" }],
  });
  const failed = await cli.delta0(["unlink", "web:/b", "web:/none", "--json"]);
  assert.deepEqual(failureOf(failed), {
    schema: "delta0/error@1",
    code: "NOT_FOUND",
    exit: 4,
    message: "web:/none: no such file; nothing was changed",
  });
});

test("cli: what cannot be changed is refused, each in its own words and with its own exit code", async () => {
  await using cli = await cliContainer();
  const { digest } = documentOf(await cli.ok("show", "web", "--json"));
  for (const [args, code, line] of [
    [["mkdir", "base:/x"], 2, /^delta0: "base" is a layer, which never changes: .*delta0 clone base NEW\n$/],
    [["unlink", `${String(digest)}:/etc`], 2, /is a tree, which never changes/],
    [["mkdir", "wbe:/x"], 4, /did you mean "web"\?\n$/],
    [["mkdir", "/etc"], 2, /"\/etc" names no file in a ref/],
    [["mkdir", "web:etc"], 2, /names no file in a ref/],
    [["mkdir", "web:/etc"], 5, /^delta0: web:\/etc: exists\n$/],
    [["mkdir", "web:/x/y"], 4, /^delta0: web:\/x\/y: no such file\n$/],
    [["mkdir", "-m", "rwx", "web:/x"], 2, /"rwx" is no mode/],
    [["put", "none", "web:/"], 4, /no such file: .*none\n$/],
    [["put", "tree", "web:/etc/hosts"], 5, /^delta0: web:\/etc\/hosts is a file, which no directory replaces/],
    [["put", "web:/"], 2, /missing NAME:\/PATH/],
    [["mv", "web:/etc", "other:/etc"], 2, /^delta0: web and other are two containers/],
    [["mv", "web:/etc", "web:/etc/x"], 2, /^delta0: web:\/etc cannot go into itself\n$/],
    [["mv", "-n", "web:/etc/hosts", "web:/srv/page"], 5, /^delta0: web:\/srv\/page exists\n$/],
    [["ln", "web:/etc", "web:/x"], 2, /is a directory/],
    [["ln", "-s", "x", "web:/etc/link"], 5, /^delta0: web:\/etc\/link: exists\n$/],
    [["unlink", "web:/etc"], 6, /^delta0: web:\/etc is a directory: -r removes/],
    [["unlink", "-r", "web:/"], 6, /^delta0: web:\/: is the root/],
    [["chmod", "999", "web:/etc"], 2, /"999" is no mode/],
    [["chown", "www-data", "web:/etc"], 4, /^delta0: web:\/etc\/passwd has no user "www-data"\n$/],
    [["chown", ":", "web:/etc"], 2, /":" is no owner/],
    [["xattr", "set", "note", "x", "web:/etc"], 2, /"note" is no attribute's name/],
    [["xattr", "set", "user.x", "0xf", "web:/etc"], 2, /"0xf" is no value/],
    [["xattr", "get", "user.x", "web:/etc"], 4, /^delta0: web:\/etc: it has no such attribute\n$/],
    [["xattr", "remove", "user.x", "web:/etc"], 4, /it has no such attribute/],
    [["chmod", "644"], 2, /missing NAME:\/PATH/],
  ] as const) {
    const result = await cli.delta0(args);
    assert.equal(result.code, code, `${args.join(" ")}: ${result.stderr}`);
    assert.match(result.stderr, line);
    assert.equal(result.stdout, "");
  }
  assert.equal(documentOf(await cli.ok("show", "web", "--json"))["digest"], digest);
});

test("cli: edit puts back what the editor made of a file, and nothing else", async () => {
  await using cli = await cliContainer();
  const { ok } = cli;
  const edit = (editor: string, ...args: string[]): Promise<CliResult> =>
    cli.delta0(["edit", ...args], { env: { EDITOR: editor, VISUAL: "" } });
  await ok("chmod", "640", "web:/etc/hosts");
  const before = (await ok("cat", "web:/etc/hosts")).stdout;
  const history = (await ok("reflog", "web")).stdout;

  for (const editor of ["true", "touch"]) assert.equal((await edit(editor, "web:/etc/hosts")).code, 0);
  assert.match((await edit("echo x >>file; false", "web:/etc/hosts")).stderr, /nothing was changed/);
  assert.equal((await edit("true", "base:/etc/hosts")).code, 2);
  assert.equal((await edit("true", "web:/none")).code, 4);
  assert.equal((await edit("", "web:/etc/hosts")).code, 2, "neither a terminal nor an editor");
  assert.equal((await ok("reflog", "web")).stdout, history);

  assert.match((await edit("sed -i s/localhost/elsewhere/", "web:/etc/hosts")).stdout, /^web:\/etc\/hosts: changed/);
  assert.equal((await ok("cat", "web:/etc/hosts")).stdout, before.replace("localhost", "elsewhere"));
  assert.match((await ok("stat", "web:/etc/hosts")).stdout, /0640/);
  await ok("undo");
  assert.equal((await ok("cat", "web:/etc/hosts")).stdout, before);
});

test("cli: what an editor made of a file that was changed meanwhile stays where it is told", async () => {
  await using cli = await cliContainer();
  await writeFile(`${cli.path}/other`, "of somebody else\n");
  const script = `${cli.path}/editor`;
  const meanwhile = `eval "$DELTA0 -q put -T ${cli.path}/other web:/etc/hosts"`;
  await writeFile(script, `#!/bin/sh\n${meanwhile} && echo mine >"$1"\n`, { mode: 0o755 });
  const { code, stderr } = await cli.delta0(["edit", "web:/etc/hosts"], { env: { EDITOR: script, VISUAL: "" } });
  assert.equal(code, 6, stderr);
  const [, kept = ""] = /what you wrote is in (\S+)/.exec(stderr) ?? [];
  assert.equal(await readFile(kept, "utf8"), "mine\n");
  await rm(dirname(kept), { recursive: true });
});
