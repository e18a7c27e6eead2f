import type nodeFs from "node:fs";

type LooseHandle = Record<keyof nodeFs.promises.FileHandle, (...args: unknown[]) => unknown>;
type HandleCall = (handle: LooseHandle) => unknown;
type HandleCase = readonly [name: string, flags: string, ...calls: HandleCall[]];

const METHODS = [
  ...(["read", "readv", "readFile", "write", "writev", "writeFile", "appendFile", "truncate", "stat", "sync"] as const),
  ...(["datasync", "utimes", "chmod", "chown", "createReadStream", "createWriteStream", "close"] as const),
];

/** What handles of a file of ten bytes are asked, in an order, each handle for a file of its own. */
export const HANDLE_CALLS: readonly HandleCase[] = [
  ["write", "w+", (h) => h.write("text"), (h) => h.write("x", 1), (h) => h.write("6162", null, "hex"), content],
  ["write Buffer", "w", (h) => h.write(Buffer.from("abcdef")), (h) => h.write(Buffer.from("XYZ"), 1, 1, 3)],
  ["write options", "w", (h) => h.write(Buffer.from("abc"), { offset: 1, position: 4 }), (h) => h.write("end")],
  ["write part", "w", (h) => h.write(Buffer.from("abc"), 1), (h) => h.write(Buffer.from("abc"), null, 2)],
  [
    "write nowhere",
    "w",
    (h) => h.write(Buffer.from("abc"), 0, 3, -7),
    (h) => h.write("z", 1.5),
    (h) => h.write("y", "0"),
  ],
  ["write nothing", "w", (h) => h.write(""), (h) => h.write(Buffer.alloc(0), 9, 9), (h) => h.write(Buffer.of(1), 1)],
  ["write utf16", "w", (h) => h.write("xyz", null, "utf16le"), (h) => h.write("é", null, "latin1")],
  [
    "write wrong",
    "w",
    (h) => h.write({}),
    (h) => h.write(),
    (h) => h.write("616", 0, "hex"),
    (h) => h.write("61", 0, "no"),
  ],
  ["write offset", "w", (h) => h.write(Buffer.from("abc"), 5), (h) => h.write(Buffer.from("abc"), -1)],
  ["write length", "w", (h) => h.write(Buffer.from("abc"), 1, 9), (h) => h.write(Buffer.from("abc"), 1, -1)],
  ["write beyond the end", "w+", (h) => h.write("x", 10_000), content],
  ["writev", "w", (h) => h.writev([Buffer.from("ab"), Uint16Array.of(0x6463)]), (h) => h.writev([Buffer.from("X")], 1)],
  ["writev nothing", "w", (h) => h.writev([]), (h) => h.writev("x"), (h) => h.writev(["x"])],
  ["append", "a+", (h) => h.write("one"), (h) => h.write("two", 0), (h) => h.write(Buffer.from("3"), 0, 1, 0), content],
  ["writeFile", "w+", (h) => h.writeFile("abc"), (h) => h.writeFile("def"), (h) => h.appendFile(["g", "h"]), content],
  ["read on", "r+", (h) => h.read(Buffer.alloc(3)), (h) => h.write("X"), (h) => h.read({ length: 2 }), content],
  [
    "read",
    "r",
    (h) => h.read(Buffer.alloc(4), 1, 2, 3),
    (h) => h.read(Buffer.alloc(4), { position: 1 }),
    (h) => h.read(null),
  ],
  ["read wrong", "r", (h) => h.read("x"), (h) => h.read(Buffer.alloc(0), 0, 5), (h) => h.read(Buffer.alloc(2), 3)],
  [
    "read nothing",
    "r",
    (h) => h.read(Buffer.alloc(0)),
    (h) => h.read(Buffer.alloc(2), 2),
    (h) => h.read(Buffer.alloc(2), 0, 3),
  ],
  ["readv", "r", (h) => h.readv([Buffer.alloc(2), new Uint16Array(1)]), (h) => h.readv([Buffer.alloc(2)], 1)],
  ["readv wrong", "r", (h) => h.readv("x"), (h) => h.readv(["x"]), (h) => h.readv([Buffer.alloc(100)], 4)],
  ["readFile", "r", (h) => h.read(Buffer.alloc(3)), (h) => h.readFile("utf8"), (h) => h.readFile()],
  ["truncate", "r+", (h) => h.truncate(3), content, (h) => h.truncate(6), content, (h) => h.truncate(-1), content],
  ["truncate wrong", "r+", (h) => h.truncate(1.5), (h) => h.truncate(null), (h) => h.truncate("1"), content],
  [
    "of no use to a writer",
    "w",
    (h) => h.read(Buffer.alloc(3)),
    (h) => h.readFile(),
    (h) => h.readv([Buffer.alloc(1)]),
  ],
  [
    "of no use to a reader",
    "r",
    (h) => h.write("x"),
    (h) => h.write(Buffer.from("x")),
    (h) => h.writev([Buffer.of(1)]),
  ],
  ["of no use to a reader", "r", (h) => h.truncate(), (h) => h.writeFile("x"), (h) => h.appendFile("x")],
  ["metadata", "r", (h) => h.chmod(0o610), (h) => h.chown(-1, -1), (h) => h.utimes(5, 6.5), (h) => h.sync(), mode],
  ["metadata wrong", "r", (h) => h.chmod("x"), (h) => h.chmod(), (h) => h.chown(-2), (h) => h.utimes("x", 1), mode],
  ["sync", "r+", (h) => h.sync(), (h) => h.datasync()],
  ...METHODS.map((method): HandleCase => [`${method} of a closed one`, "r+", (h) => h.close(), (h) => h[method]("x")]),
];

async function content(handle: LooseHandle): Promise<unknown> {
  const buffer = Buffer.alloc(20_000);
  const { bytesRead } = (await handle.read(buffer, 0, buffer.length, 0)) as { bytesRead: number };
  return buffer.toString("latin1", 0, bytesRead);
}

async function mode(handle: LooseHandle): Promise<unknown> {
  const { mode, mtimeMs, size } = (await handle.stat()) as nodeFs.Stats;
  return { mode, size, mtimeMs: mtimeMs < 1e6 ? mtimeMs : "now" };
}
