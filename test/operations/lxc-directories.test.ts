import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import {
  capture,
  cat,
  create,
  importLayer,
  list,
  lxcConfig,
  lxcCreate,
  remove,
  removeHooks,
  repairContainer,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { assertNothingHalfMade, FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";

/** What lxc-create has made when it calls its template. */
function madeByLxc(lxcPath: string, name: string, rootfs = `dir:${lxcPath}/${name}/rootfs`): string {
  const directory = `${lxcPath}/${name}`;
  mkdirSync(`${directory}/rootfs`, { recursive: true });
  writeFileSync(
    `${directory}/config`,
    `lxc.environment = A=b\nlxc.rootfs.options = userxattr\nlxc.rootfs.path = ${rootfs}\n`,
  );
  return directory;
}

async function textOf(context: Context, name: string, path: string): Promise<string> {
  const parts: Uint8Array[] = [];
  const output = (bytes: Uint8Array): Promise<void> => Promise.resolve(void parts.push(Buffer.from(bytes)));
  await cat({ ...context, output }, { files: [`${name}:${path}`] });
  return Buffer.concat(parts).toString();
}

test("lxcCreate: fills the directory that lxc-create has made, and keeps its config under our keys", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await importLayer(context, { source: at.source, name: "base" });
  const path = madeByLxc(lxcPath, "web");
  const made = await lxcCreate(context, { name: "web", path, image: "base", labels: { a: "b" } });
  assert.equal(made.lxcPath, lxcPath);
  const config = readFileSync(`${path}/config`, "utf8");
  assert.match(config, /^lxc\.environment = A=b$/m);
  assert.match(config, /^lxc\.rootfs\.path = overlay:.*:.*\/web\/delta0$/m);
  assert.equal(config.match(/^lxc\.rootfs\.path/gm)?.length, 1);
  assert.deepEqual(readdirSync(path).sort(), ["config", "delta0", "rootfs"]);
  const [web] = await list(context, { only: "containers" });
  assert.deepEqual([web?.state, web?.labels], ["stopped", { a: "b" }]);
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/file`, "one"));
  assert.equal(await textOf(context, "web", "/file"), "one");
});

test("lxcCreate: what cannot be made changes neither the store nor what lxc-create would remove", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await importLayer(context, { source: at.source, name: "base" });
  await create(context, { source: "base", name: "taken", noLxc: true });
  const names = (await list(context)).map(({ name }) => name);
  const cases: [params: Parameters<typeof lxcCreate>[1], code: string][] = [
    [{ name: "web", path: madeByLxc(lxcPath, "web"), image: "bsae" }, "NOT_FOUND"],
    [{ name: "taken", path: madeByLxc(lxcPath, "taken"), image: "base" }, "EXISTS"],
    [{ name: "a b", path: madeByLxc(lxcPath, "a b"), image: "base" }, "USAGE"],
    [{ name: "loop", path: madeByLxc(lxcPath, "loop", "loop:/x"), image: "base" }, "UNSUPPORTED"],
    [{ name: "none", path: `${lxcPath}/none`, image: "base" }, "USAGE"],
    [{ name: "other", path: `${lxcPath}/web`, image: "base" }, "USAGE"],
  ];
  for (const [params, code] of cases) await assert.rejects(lxcCreate(context, params), { code }, params.name);
  assert.deepEqual(
    (await list(context)).map(({ name }) => name),
    names,
  );
  for (const name of ["web", "taken", "loop"])
    assert.deepEqual(readdirSync(`${lxcPath}/${name}`).sort(), ["config", "rootfs"]);
});

test("repair: whatever is lost of a directory is made anew, and the container is what it was", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await create(context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/file`, "one"));
  await capture(context, { name: "web" });
  const directory = `${lxcPath}/web`;
  const repaired = async (): Promise<readonly string[]> => (await repairContainer(context, { name: "web" })).repaired;
  assert.deepEqual(await repaired(), []);
  const harms: [harm: () => void, expected: string[]][] = [
    [() => rmSync(directory, { recursive: true }), ["directory"]],
    [() => rmSync(`${directory}/rootfs`), ["rootfs"]],
    [() => appendFileSync(`${directory}/config`, "lxc.rootfs.path = dir:/\n"), ["config"]],
    [() => rmSync(`${directory}/config`), ["config"]],
    // Without both nothing says what the delta lies over: it is made anew.
    [() => (rmSync(`${directory}/config`), rmSync(`${directory}/rootfs`)), ["config", "rootfs"]],
    [() => rmSync(`${directory}/delta0`, { recursive: true, force: true }), []],
  ];
  for (const [harm, expected] of harms) {
    harm();
    assert.deepEqual(await repaired(), expected);
    assert.equal(await textOf(context, "web", "/file"), "one");
  }
  writeFileSync(
    `${directory}/config`,
    readFileSync(`${directory}/config`, "utf8") + "lxc.rootfs.options = userxattr\n",
  );
  await startContainer(context, "web");
  assert.equal(readFileSync(`${directory}/delta0/file`, "utf8"), "one");
  assert.deepEqual(await repaired(), []);
  rmSync(`${directory}/delta0`, { recursive: true });
  assert.deepEqual(await repaired(), ["delta0"]);
  assert.equal(readFileSync(`${directory}/delta0/file`, "utf8"), "one");
  assertNothingHalfMade(at, lxcPath);
});

test("repair: what was moved, or is another's by now, is let be; what is not captured and cannot be told stays", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await create(context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
  const directory = `${lxcPath}/web`;
  const refused = (): Promise<void> => assert.rejects(repairContainer(context, { name: "web" }), { code: "REFUSED" });
  renameSync(directory, `${lxcPath}/moved`);
  await refused();
  madeByLxc(lxcPath, "web");
  await refused();
  rmSync(directory, { recursive: true });
  renameSync(`${lxcPath}/moved`, directory);
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/file`, "one"));
  for (const name of ["config", "rootfs"]) renameSync(`${directory}/${name}`, `${lxcPath}/${name}`);
  await refused();
  assert.equal(readFileSync(`${directory}/delta0/file`, "utf8"), "one");
  renameSync(`${lxcPath}/config`, `${directory}/config`);
  assert.deepEqual((await repairContainer(context, { name: "web" })).repaired, ["rootfs"]);
  assert.equal(await textOf(context, "web", "/file"), "one");
});

test("removeHooks: refused while a config takes them in, the store's or not", async () => {
  await using at = await openTestHost();
  const { context, lxcPath, store } = at;
  await create(context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
  await create(context, { source: "web", name: "stays", lxcPath, ...FOR_ANYBODY });
  mkdirSync(`${lxcPath}/foreign`);
  writeFileSync(`${lxcPath}/foreign/config`, `lxc.include = ${store.paths.lxc}/hooks.conf\n`);
  await assert.rejects(removeHooks(context), { code: "REFUSED" });
  await remove(context, { names: ["web"] });
  rmSync(`${lxcPath}/stays/config`);
  await assert.rejects(removeHooks(context), { code: "REFUSED" });
  rmSync(`${lxcPath}/foreign`, { recursive: true });
  assert.equal((await removeHooks(context, { dryRun: true })).changed.length, 3);
  assert.ok(existsSync(`${store.paths.lxc}/hooks.conf`));
  assert.equal((await removeHooks(context)).changed.length, 3);
  assert.deepEqual((await removeHooks(context)).changed, []);
});

test("lxcConfig: has the keys that a container's config has, and those it would get", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await create(context, { source: at.source, name: "web", lxcPath });
  const { text, settings } = await lxcConfig(context, { name: "web" });
  assert.equal(text, readFileSync(`${lxcPath}/web/config`, "utf8"));
  assert.ok(settings.some(({ key, value }) => key === "lxc.uts.name" && value === "web"));
});
