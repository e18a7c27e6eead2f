import assert from "node:assert/strict";
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { StoreError } from "../../src/errors.ts";
import { sealRecord } from "../../src/format/record.ts";
import {
  entryKey,
  headerKey,
  numberKey,
  openEntry,
  openHeader,
  openNode,
  sealEntry,
  sealNode,
} from "../../src/format/upper.ts";
import type { UpperRecord } from "../../src/format/upper.ts";
import { create, list, openContainer, openView, remove, status, Store } from "../../src/index.ts";
import type { ContainerView, Context } from "../../src/index.ts";
import { Kv } from "../../src/kv/kv.ts";
import { temporaryDirectory } from "../support/temporary.ts";

type Records = Map<string, Uint8Array>;

/** Bytes without a repetition that a wrong offset could hide in. */
const LARGE = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));

/** A container with changes that are not folded, in a store that is closed. */
class Site implements AsyncDisposable {
  readonly #path: string;
  readonly #store: string;
  readonly #dispose: () => Promise<void>;

  private constructor(path: string, dispose: () => Promise<void>) {
    this.#path = path;
    this.#store = `${path}/store`;
    this.#dispose = dispose;
  }

  static async make(): Promise<Site> {
    const directory = await temporaryDirectory();
    const site = new Site(directory.path, async () => directory[Symbol.asyncDispose]());
    for (const name of ["base/below", "moved"]) mkdirSync(`${site.#path}/source/${name}`, { recursive: true });
    for (const name of ["base/changed", "base/below/same", "moved/along", "gone"])
      writeFileSync(`${site.#path}/source/${name}`, LARGE);
    await using store = await Store.open(site.#store, { create: true });
    const context = { store, command: "test" };
    for (const name of ["web", "other"]) await create(context, { source: `${site.#path}/source`, name, noLxc: true });
    for (const name of ["other", "web"]) {
      await using view = await openContainer(context, { name });
      await changeSome(view);
    }
    return site;
  }

  /** Does what happens to a disk, and then looks at what is left. */
  async after(
    damage: (records: Records) => void,
    look: (view: ContainerView, context: Context) => Promise<void>,
  ): Promise<void> {
    {
      await using kv = await Kv.open(`${this.#store}/uppers`, { create: false });
      const before: Records = new Map();
      for await (const [key, value] of kv.iterate({})) before.set(Buffer.from(key).toString("latin1"), value);
      const after = new Map(before);
      damage(after);
      for (const key of before.keys()) if (!after.has(key)) await kv.write([{ type: "del", key: bytesOf(key) }]);
      for (const [key, value] of after) await kv.write([{ type: "put", key: bytesOf(key), value }]);
    }
    await this.open(async (context) => {
      await using view = await openContainer(context, { name: "web" });
      await look(view, context);
    });
  }

  async open(look: (context: Context) => Promise<void>): Promise<void> {
    await using store = await Store.open(this.#store);
    await look({ store, command: "test" });
    await using other = await openContainer({ store, command: "test" }, { name: "other" });
    await assertWhole(other);
  }

  get pieces(): string[] {
    return readdirSync(`${this.#store}/uppers.pieces`).map((name) => `${this.#store}/uppers.pieces/${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }
}

function bytesOf(key: string): Buffer {
  return Buffer.from(key, "latin1");
}

async function changeSome({ promises }: ContainerView): Promise<void> {
  const handle = await promises.open("/base/changed", "r+");
  await handle.write("changed", 100);
  await handle.close();
  await promises.rename("/moved", "/new-place");
  await promises.unlink("/gone");
  await promises.mkdir("/new");
  await promises.writeFile("/new/file", LARGE);
  await promises.writeFile("/new/small", "small");
  await promises.link("/new/small", "/base/link");
  await promises.chmod("/base/below", 0o700);
}

/** All that `changeSome` left, but for the paths that are damaged. */
async function assertWhole(view: Pick<ContainerView, "promises">, ...damaged: readonly string[]): Promise<void> {
  const changed = Buffer.from(LARGE);
  changed.write("changed", 100);
  const files: Record<string, Buffer> = {
    "/base/changed": changed,
    "/base/below/same": LARGE,
    "/new-place/along": LARGE,
    "/new/file": LARGE,
    "/new/small": Buffer.from("small"),
    "/base/link": Buffer.from("small"),
  };
  for (const [path, bytes] of Object.entries(files)) {
    if (damaged.includes(path)) continue;
    assert.deepEqual(await view.promises.readFile(path), bytes, path);
  }
}

/** @param record a part of the text that says which record it is */
async function assertUnreadable(call: () => Promise<unknown>, record: RegExp): Promise<void> {
  await assert.rejects(call, (error: Error) => {
    assert.equal("code" in error && error.code, "EIO", error.stack);
    assert.ok(error.cause instanceof StoreError);
    assert.equal(error.cause.code, "FORMAT_INVALID");
    assert.match(error.cause.message, record);
    return true;
  });
}

async function assertNotFolded(context: Context): Promise<void> {
  await assert.rejects(status(context, { name: "web" }), { code: "FORMAT_INVALID" });
  const items = await list({ ...context, onWarning: () => undefined });
  assert.deepEqual(
    items.filter(({ type }) => type === "container").map(({ name }) => name),
    ["other", "web"],
  );
}

/** What a test does to one record. */
const HARMS: Record<string, (records: Records, key: string, value: Uint8Array) => void> = {
  flipped: (records, key, value) => {
    const bytes = Uint8Array.from(value);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    records.set(key, bytes);
  },
  removed: (records, key) => records.delete(key),
  replaced: (records, key) => {
    const [other] = [...records].find(([name]) => name !== key && name.startsWith(key.slice(0, 1))) ?? [];
    records.set(key, records.get(other ?? "") ?? Buffer.of(1, 2, 3));
  },
  emptied: (records, key) => records.set(key, new Uint8Array()),
};

/** The upper of "web", and the numbers of its nodes by the names that lead to them. */
function numbersOf(records: Records): {
  id: number;
  ino: (name: string) => number;
  entryKeyOf: (name: string) => string;
} {
  const key = headerKey("web");
  const { id } = openHeader(key, records.get(key.toString("latin1")) ?? new Uint8Array());
  const prefix = numberKey("entry", id).toString("latin1");
  const keys = [...records.keys()].filter((name) => name.startsWith(prefix));
  const entryKeyOf = (name: string): string => keys.find((entry) => entry.slice(17) === name) ?? assert.fail(name);
  const ino = (name: string): number =>
    openEntry(bytesOf(entryKeyOf(name)), records.get(entryKeyOf(name)) ?? new Uint8Array());
  return { id, ino, entryKeyOf };
}

function text(key: Buffer): string {
  return key.toString("latin1");
}

for (const [harm, apply] of Object.entries(HARMS)) {
  test(`damage: of a node that is ${harm}, its file alone is lost, and nothing is folded`, async () => {
    await using at = await Site.make();
    await at.after(
      (records) => {
        const { id, ino } = numbersOf(records);
        const key = text(numberKey("node", id, ino("file")));
        apply(records, key, records.get(key) ?? new Uint8Array());
      },
      async (view, context) => {
        await assertWhole(view, "/new/file");
        assert.deepEqual(view.readdirSync("/new"), ["file", "small"]);
        const { stat, lstat, readFile } = view.promises;
        for (const call of [() => stat("/new/file"), () => lstat("/new/file"), () => readFile("/new/file")])
          await assertUnreadable(call, /node \d+ of upper/);
        await assertUnreadable(() => view.promises.writeFile("/new/file", "x"), /node \d+ of upper/);
        await view.promises.writeFile("/new/another", "goes on");
        await assertNotFolded(context);
      },
    );
  });

  test(`damage: of a block that is ${harm}, its file alone is lost, and nothing is folded`, async () => {
    await using at = await Site.make();
    await at.after(
      (records) => {
        const { id, ino } = numbersOf(records);
        const key = text(numberKey("block", id, ino("file"), 1));
        apply(records, key, records.get(key) ?? new Uint8Array());
      },
      async (view, context) => {
        await assertWhole(view, "/new/file");
        await assertUnreadable(() => view.promises.readFile("/new/file"), /node|block/);
        await assertNotFolded(context);
      },
    );
  });

  test(`damage: of an entry that is ${harm}, nothing else is lost, and nothing is folded`, async () => {
    await using at = await Site.make();
    await at.after(
      (records) => {
        const key = numbersOf(records).entryKeyOf("file");
        apply(records, key, records.get(key) ?? new Uint8Array());
      },
      async (view, context) => {
        await assertWhole(view, "/new/file");
        if (harm === "removed")
          await assertUnreadable(() => view.promises.readdir("/new"), /node \d+ of upper .*entries/);
        else {
          assert.deepEqual(view.readdirSync("/new"), ["file", "small"]);
          await assertUnreadable(() => view.promises.readFile("/new/file"), /entry/);
        }
        await assertNotFolded(context);
      },
    );
  });

  test(`damage: of a header that is ${harm}, nothing is taken for folded`, async () => {
    await using at = await Site.make();
    const damage = at.after(
      (records) => apply(records, text(headerKey("web")), records.get(text(headerKey("web"))) ?? new Uint8Array()),
      async (view) => {
        assert.equal(harm, "removed");
        // Without a header it never was changed.
        assert.deepEqual(view.readFileSync("/base/changed"), LARGE);
      },
    );
    if (harm === "removed") return await damage;
    await assert.rejects(damage, { code: "FORMAT_INVALID" });
    await at.open(async (context) => {
      await assertNotFolded(context);
      await assert.rejects(remove(context, { names: ["web"] }), { code: "FORMAT_INVALID" });
      await remove(context, { names: ["web"], force: true });
      await create(context, { source: "other", name: "web", noLxc: true });
      await using view = await openContainer(context, { name: "web" });
      await assertWhole(view);
    });
  });
}

test("damage: of a whiteout that is lost, what it hid is not folded back in", async () => {
  await using at = await Site.make();
  await at.after(
    (records) => records.delete(numbersOf(records).entryKeyOf("gone")),
    async (view, context) => {
      await assertWhole(view);
      await assertUnreadable(() => view.promises.readdir("/"), /entries/);
      await assertUnreadable(() => view.promises.writeFile("/x", "x"), /entries/);
      await assertNotFolded(context);
    },
  );
});

test("damage: of bytes that are lost, reads of them fail, whole blocks can be written again, and then all is folded", async () => {
  await using at = await Site.make();
  const lengths = at.pieces.map((path) => [path, 0] as const);
  for (const [path] of lengths.slice(-1)) truncateSync(path, 4096);
  await at.after(
    () => undefined,
    async (view, context) => {
      await assertUnreadable(() => view.promises.readFile("/new/file"), /bytes/);
      await assertNotFolded(context);
      const handle = await view.promises.open("/new/file", "r+");
      await assertUnreadable(() => handle.write("partial", 10), /bytes/);
      await handle.write(LARGE, 0, LARGE.length, 0);
      await handle.close();
      for (const path of ["/new/small"]) await view.promises.writeFile(path, "small");
      await assertWhole(view);
      await status(context, { name: "web" });
      await assertWhole(await openView(context, { ref: "web" }));
    },
  );
});

test("damage: names that lead to one directory twice, or in a circle, or numbers that are not so, are found, and end nothing", async () => {
  const seal = (key: Buffer, record: UpperRecord, change: Partial<UpperRecord>): Uint8Array =>
    sealNode(key, { ...record, ...change });
  const changes: Record<string, (records: Records) => void> = {
    "itself in itself": (records) => {
      const { id, ino } = numbersOf(records);
      const key = entryKey(id, ino("new"), "small");
      records.set(text(key), sealEntry(key, ino("new")));
    },
    "the root in a directory": (records) => {
      const { id, ino } = numbersOf(records);
      const key = entryKey(id, ino("new"), "small");
      records.set(text(key), sealEntry(key, 1));
    },
    "in a circle apart": (records) => {
      const { id, ino } = numbersOf(records);
      const [one, two] = [entryKey(id, 1, "new"), entryKey(id, ino("new"), "small")];
      records.set(text(two), sealEntry(two, ino("new")));
      records.set(text(one), sealEntry(one, 0));
    },
    "too many links": (records) => {
      const { id, ino } = numbersOf(records);
      const key = numberKey("node", id, ino("small"));
      records.set(text(key), seal(key, openNode(key, records.get(text(key))!), { links: 3 }));
    },
    "an origin that is nothing": (records) => {
      const { id, ino } = numbersOf(records);
      const key = numberKey("node", id, ino("new-place"));
      records.set(text(key), seal(key, openNode(key, records.get(text(key))!), { origin: "nowhere" }));
    },
    "an origin of another type": (records) => {
      const { id, ino } = numbersOf(records);
      const key = numberKey("node", id, ino("new-place"));
      records.set(text(key), seal(key, openNode(key, records.get(text(key))!), { origin: "gone" }));
    },
    "keys that are none": (records) => {
      const { id } = numbersOf(records);
      for (const kind of ["node", "block", "entry"] as const) {
        records.set(text(numberKey(kind, id)), Buffer.of(1));
        records.set(text(numberKey(kind, id, 2 ** 53)), Buffer.of(1));
        records.set(`${text(numberKey(kind, id))}\xff\xff`, Buffer.of(1));
      }
      records.set(text(numberKey("entry", id, 1)), sealRecord(numberKey("entry", id, 1), 0));
      for (const name of [".", "..", "a/b", "n".repeat(300)]) {
        const key = entryKey(id, 1, name);
        records.set(text(key), sealEntry(key, 0));
      }
    },
  };
  for (const [what, damage] of Object.entries(changes)) {
    await using at = await Site.make();
    await at.after(damage, async (view, context) => {
      await assertWhole(view, "/new/file", "/new/small", "/base/link", "/new-place/along");
      await Promise.allSettled(
        ["/", "/new", "/new-place"].map((path) =>
          view.promises.readdir(path, { recursive: true, withFileTypes: true }),
        ),
      );
      await Promise.allSettled(["/new", "/new-place"].map((path) => view.promises.rm(path, { recursive: true })));
      await assert.rejects(status(context, { name: "web" }), { code: "FORMAT_INVALID" }, what);
    });
  }
});
