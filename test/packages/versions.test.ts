import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { comparePackages } from "../../src/packages/compare-packages.ts";
import { compareVersions } from "../../src/packages/compare-versions.ts";
import type { Database, Package } from "../../src/packages/database.ts";
import { hasCommand, run } from "../support/run.ts";

test("versions: in the order of deb-version(7), and apk's with what it has before a release", () => {
  const dpkg = [
    "~",
    "~~",
    "1~rc1",
    "1.0~rc2",
    "1.0",
    "1.0-1",
    "1.0-1+b1",
    "1.0-1+deb12u1",
    "1.0-2",
    "1.0-10",
    "1.0a",
    "1.1",
    "1:0.9",
  ];
  assert.ok(compareVersions("dpkg", "1~~", "1~") < 0);
  for (let i = 3; i < dpkg.length; i++)
    assert.ok(compareVersions("dpkg", dpkg[i - 1] ?? "", dpkg[i] ?? "") < 0, `${dpkg[i - 1]} < ${dpkg[i]}`);
  const apk = ["1.2_alpha1", "1.2_beta", "1.2_pre2", "1.2_rc1", "1.2", "1.2-r1", "1.2-r10", "1.2_p1", "1.10"];
  for (let i = 1; i < apk.length; i++)
    assert.ok(compareVersions("apk", apk[i - 1] ?? "", apk[i] ?? "") < 0, `${apk[i - 1]} < ${apk[i]}`);
  assert.equal(compareVersions("dpkg", "1.0-0", "1.0"), 0);
  assert.ok(compareVersions("dpkg", `1.${"9".repeat(400)}`, `1.1${"0".repeat(400)}`) < 0);
});

test(
  "versions: as dpkg itself compares them",
  { skip: hasCommand("dpkg") ? false : "dpkg is not installed" },
  async () => {
    const part = fc.array(fc.constantFrom("0", "1", "10", "a", "Z", "~", "+", ".", "deb"), { maxLength: 5 });
    const version = fc
      .tuple(fc.constantFrom("", "0:", "1:"), part, fc.option(part, { nil: undefined }))
      .map(([epoch, v, r]) => `${epoch}1${v.join("")}${r === undefined ? "" : `-0${r.join("")}`}`);
    await fc.assert(
      fc.asyncProperty(version, version, async (a, b) => {
        const order = compareVersions("dpkg", a, b);
        const relation = order < 0 ? "lt" : order > 0 ? "gt" : "eq";
        await run("dpkg", ["--compare-versions", a, relation, b]);
      }),
      { numRuns: 100 },
    );
  },
);

test("versions: in rpm's order; of several that are there the latest counts", () => {
  const rpm = [
    "1.0~~-1",
    "1.0~rc1-1",
    "1.0~rc1^git1-1",
    "1.0-0.9",
    "1.0-1",
    "1.0-1.fc40",
    "1.0-10",
    "1.0^git1~pre-1",
    "1.0^git1-1",
    "1.0a-1",
    "1.0.1-1",
    "1.10-1",
    "1.9-1, 1.11-1",
    "1:0.1-1",
  ];
  for (let i = 1; i < rpm.length; i++)
    assert.ok(compareVersions("rpm", rpm[i - 1] ?? "", rpm[i] ?? "") < 0, `${rpm[i - 1]} < ${rpm[i]}`);
  assert.equal(compareVersions("rpm", "1.0_2-1", "1.0.02-1"), 0);
});

test(
  "versions: as rpm itself compares them",
  { skip: hasCommand("rpm") ? false : "rpm is not installed" },
  async () => {
    const part = fc
      .array(fc.constantFrom("0", "1", "10", "09", "a", "Zb", "~", "^", "+", ".", "_", "fc"), { maxLength: 6 })
      .map((parts) => parts.join(""));
    const version = fc.tuple(fc.constantFrom("", "0:", "1:"), part, part).map(([epoch, v, r]) => `${epoch}1${v}-1${r}`);
    const pairs = fc.sample(fc.tuple(version, version), 500);
    const list = pairs.map(([a, b]) => `{"${a}","${b}"}`).join(",");
    const answer = await run("rpm", [
      "--eval",
      `%{lua:for _,p in ipairs({${list}}) do print(rpm.vercmp(p[1],p[2]) .. " ") end}`,
    ]);
    const orders = answer.trim().split(/\s+/).map(Number);
    assert.deepEqual(
      pairs.map(([a, b], i) => [a, b, Math.sign(compareVersions("rpm", a, b)), i]),
      pairs.map(([a, b], i) => [a, b, orders[i], i]),
    );
  },
);

function database(...packages: (Partial<Package> & { name: string })[]): Database {
  const whole = packages.map((given) => ({
    version: "1",
    architecture: "all",
    installed: true,
    conffiles: new Map(),
    ...given,
  }));
  return { manager: "dpkg", packages: new Map(whole.map((each) => [each.name, each])), owners: () => new Map() };
}

test("packages: added, removed, upgraded, downgraded, of another architecture, with what is left; by name", () => {
  const before = database(
    { name: "down", version: "2" },
    { name: "gone" },
    { name: "left" },
    { name: "lib", architecture: "amd64" },
    { name: "other", architecture: "amd64" },
    { name: "purged", installed: false },
    { name: "same" },
    { name: "up", version: "1.9" },
  );
  const after = database(
    { name: "back", installed: true },
    { name: "down", version: "1" },
    { name: "left", installed: false },
    { name: "lib:amd64", version: "2", architecture: "amd64" },
    { name: "other", architecture: "i386" },
    { name: "same" },
    { name: "up", version: "1.10" },
  );
  assert.deepEqual(
    comparePackages([before], [after]).map(({ name, kind, before: was, after: is, configurationLeft }) =>
      [name, kind, was, is, ...(configurationLeft ? ["left"] : [])].join(" "),
    ),
    [
      "back added  1",
      "down downgraded 2 1",
      "gone removed 1 ",
      "left removed 1  left",
      "lib:amd64 upgraded 1 2",
      "other changed 1 1",
      "up upgraded 1.9 1.10",
    ],
  );
  const rpm = (...packages: Parameters<typeof database>): Database => ({ ...database(...packages), manager: "rpm" });
  const changes = comparePackages(
    [
      rpm(
        { name: "kernel", version: "5.9-1" },
        { name: "lib", architecture: "x86_64" },
        { name: "old", version: "1-1, 2-1" },
      ),
    ],
    [
      rpm(
        { name: "kernel", version: "5.9-1, 5.10-1" },
        { name: "lib.i686", architecture: "i686" },
        { name: "lib.x86_64", architecture: "x86_64" },
        { name: "old", version: "2-1" },
      ),
    ],
  );
  assert.deepEqual(
    changes.map(({ name, kind }) => `${name} ${kind}`),
    ["kernel upgraded", "lib.i686 added", "old changed"],
  );
  assert.deepEqual(comparePackages([], []), []);
  assert.equal(comparePackages([], [before]).length, 7);
});
