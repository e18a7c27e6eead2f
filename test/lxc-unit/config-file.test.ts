import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import {
  appendValue,
  formatConfig,
  getValue,
  getValues,
  parseConfig,
  parseSetting,
  readConfig,
  removeSettings,
  replaceInValues,
  settingsOf,
  setValue,
  writeConfig,
} from "../../src/lxc/config-file.ts";
import { isStoreError } from "../../src/errors.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Lines as people write them, more often than not. */
const line = fc.oneof(
  fc.constantFrom(
    "# comment",
    "",
    "  ",
    "lxc.uts.name = a",
    "lxc.uts.name=",
    "\tlxc.mount.entry = x y z",
    "lxc.include",
  ),
  fc.string({ unit: "grapheme" }),
);
const file = fc.array(line, { maxLength: 8 }).map((lines) => lines.join("\n"));
const key = fc.constantFrom("lxc.uts.name", "lxc.rootfs.path", "lxc.mount.entry", "lxc.net.0.type");

test("config: any bytes are written back as they were read", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        file.map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        assert.deepEqual(formatConfig(parseConfig(bytes)), Buffer.from(bytes));
      },
    ),
  );
});

test("config: a value that was set is read back, from the bytes too, and nothing else changed", () => {
  fc.assert(
    fc.property(file, key, fc.string({ unit: "grapheme" }), (text, name, value) => {
      const before = parseConfig(text);
      try {
        const after = setValue(before, name, value);
        const read = parseConfig(formatConfig(after));
        assert.deepEqual(read, after);
        assert.equal(getValue(read, name), value === "" ? undefined : value);
        const others = (config: typeof before) => settingsOf(config).filter((setting) => setting.key !== name);
        assert.deepEqual(others(read), others(before));
        assert.deepEqual(setValue(read, name, value), read);
      } catch (error) {
        if (!isStoreError(error, "USAGE")) throw error;
        assert.match(value, /[\n\0]/);
      }
    }),
  );
});

test("config: what is appended comes last, and stands beside what was there", () => {
  fc.assert(
    fc.property(file, key, fc.stringMatching(/^[a-z/"' ]*[a-z]$/), (text, name, value) => {
      const before = parseConfig(text);
      const after = parseConfig(formatConfig(appendValue(before, name, value)));
      assert.deepEqual(settingsOf(after), [...settingsOf(before), { key: name, value }]);
      assert.equal(formatConfig(after).at(-1), 0x0a);
    }),
  );
});

// Each as lxc-info -c of LXC 5.0.2 had it.
for (const [text, value] of [
  ["lxc.uts.name = a\r\n", "a"],
  ['lxc.uts.name\t=\t"a b" \t\n', "a b"],
  ["lxc.uts.name='\n", "'"],
  ["lxc.uts.name = 'a\"\n", "'a\""],
  ["lxc.uts.name = a # c\n", "a # c"],
  ["  lxc.uts.name = a\n  # lxc.uts.name = b\n", "a"],
  ["lxc.uts.name = a", "a"],
  ["lxc.uts.name = a\nlxc.uts.name =\n", undefined],
  ["lxc.uts.name = a\v\f\n", "a\v\f"],
  ["lxc.uts.name = a\0b\n", "a"],
  ["LXC.uts.name=x\nfoo=bar\nlxc.uts.name=y=z\n", "y=z"],
  ['lxc.uts.name = ""\n', undefined],
  ['lxc.uts.name = ""x""\n', '"x"'],
  ["lxc.utsname = a\n", "a"],
] as const) {
  test(`config: ${JSON.stringify(text)} names ${String(value)}`, () => {
    assert.equal(getValue(parseConfig(text), "lxc.uts.name"), value);
  });
}

test("config: an empty value drops those before it", () => {
  const config = parseConfig("lxc.mount.entry = a\nlxc.mount.entry =\nlxc.mount.entry = b\nlxc.mount.entry = c\n");
  assert.deepEqual(getValues(config, "lxc.mount.entry"), ["b", "c"]);
});

test("config: settings are removed and replaced by their values, and comments are left alone", () => {
  const config = parseConfig("# /old\nlxc.a = /old/x\nlxc.b = /old\n");
  assert.equal(
    formatConfig(removeSettings(config, (setting) => setting.value === "/old")).toString(),
    "# /old\nlxc.a = /old/x\n",
  );
  assert.equal(
    formatConfig(replaceInValues(config, /\/old/g, "/$1")).toString(),
    "# /old\nlxc.a = /$1/x\nlxc.b = /$1\n",
  );
});

test("config: KEY=VALUE of a user is one setting or a mistake", () => {
  assert.deepEqual(parseSetting("lxc.start.auto = 1"), { key: "lxc.start.auto", value: "1" });
  for (const text of ["start.auto=1", "lxc.start.auto", "# lxc.a=b", "lxc.a=b\nlxc.c=d", ""]) {
    assert.throws(() => parseSetting(text), { code: "USAGE" });
  }
});

test("config: a file keeps its mode when it is written", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/config`;
  writeFileSync(path, "lxc.uts.name = a\n", { mode: 0o600 });
  writeConfig(path, setValue(readConfig(path), "lxc.uts.name", "b"));
  assert.equal(getValue(readConfig(path), "lxc.uts.name"), "b");
  assert.equal(statSync(path).mode & 0o7777, 0o600);
});
