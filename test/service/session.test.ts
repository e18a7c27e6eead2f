import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, openSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { clone, Store, StorePaths } from "../../src/index.ts";
import { place } from "../../src/service/place.ts";
import { Session } from "../../src/service/session.ts";
import { Wire } from "../../src/service/wire.ts";
import type { FromGuest, FromHost } from "../../src/service/wire.ts";
import type { SessionOptions } from "../../src/service/session.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const CALLER = { command: "test" };

interface Scene extends AsyncDisposable {
  readonly path: string;
  readonly store: string;
  readonly source: string;
  readonly open: (options?: SessionOptions) => Session;
}

/** A store with a layer, base, that no process has open. */
async function scene(): Promise<Scene> {
  const directory = await temporaryDirectory();
  const { path } = directory;
  const source = `${path}/source`;
  mkdirSync(`${source}/etc`, { recursive: true });
  writeFileSync(`${source}/etc/hosts`, "127.0.0.1 localhost\n");
  const store = `${path}/store`;
  const open = (options?: SessionOptions): Session => new Session(store, { waitSeconds: 20, ...options });
  {
    await using session = open({ create: true });
    await session.api.importLayer(CALLER, { source, name: "base" });
  }
  return { path, store, source, open, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

/** An import of a tar that comes when it is let go: by a process that has the store open, or asked another. */
function slowImport(
  session: Session,
  at: Scene,
  name: string,
): { readonly letGo: () => void; readonly done: Promise<unknown> } {
  const tar = execFileSync("tar", ["-C", at.source, "-cf", "-", "."]);
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  async function* input(): AsyncGenerator<Uint8Array> {
    yield tar.subarray(0, 512);
    await gate;
    yield tar.subarray(512);
  }
  const done = session.api.importLayer({ ...CALLER, input: input() }, { source: "-", name });
  done.catch(() => undefined);
  return { letGo, done };
}

async function untilOpen(at: Scene): Promise<void> {
  const { socket } = new StorePaths(at.store);
  for (let i = 0; i < 1000; i++) {
    try {
      execFileSync("test", ["-S", socket]);
      return;
    } catch {
      await sleep(10);
    }
  }
  assert.fail("nobody has the store open");
}

async function namesIn(session: Session): Promise<string[]> {
  return (await session.api.list(CALLER, {})).map(({ name }) => name);
}

test("session: while one process imports, others do what they want in its store, all at once", async () => {
  await using at = await scene();
  await using host = at.open();
  const { letGo, done } = slowImport(host, at, "late");
  await untilOpen(at);
  const guests = Array.from({ length: 8 }, () => at.open());
  const warnings: string[] = [];
  await Promise.all(
    guests.map(async (guest, i) => {
      const caller = { ...CALLER, onWarning: (warning: string) => void warnings.push(warning) };
      for (let n = 0; n < 10; n++) await guest.api.clone(caller, { ref: "base", names: [`c${i}-${n}`], noLxc: true });
    }),
  );
  const [guest] = guests;
  assert.ok(guest !== undefined);
  assert.equal((await namesIn(guest)).length, 81);
  await assert.rejects(guest.api.clone(CALLER, { ref: "base", names: ["c0-0"], noLxc: true }), { code: "EXISTS" });
  await assert.rejects(guest.api.show(CALLER, { ref: "none" }), { code: "NOT_FOUND" });
  let text = "";
  await guest.api.cat(
    { ...CALLER, output: async (bytes) => void (text += await Promise.resolve(Buffer.from(bytes).toString())) },
    { files: ["base:/etc/hosts"] },
  );
  assert.equal(text, "127.0.0.1 localhost\n");
  letGo();
  await done;
  assert.ok((await namesIn(guest)).includes("late"));
  for (const guest of guests) await guest[Symbol.asyncDispose]();
});

test("session: what the process that has it open does for others goes on elsewhere when that ends", async () => {
  await using at = await scene();
  const host = at.open();
  const own = slowImport(host, at, "own");
  await untilOpen(at);
  await using guest = at.open();
  // A directory: it can be read again. The clone has no turn before its end, if at all.
  const imported = guest.api.importLayer(CALLER, { source: "/usr/include", name: "include" });
  await using another = at.open();
  const cloned = another.api.clone(CALLER, { ref: "base", names: ["web"], noLxc: true });
  own.letGo();
  await own.done;
  await host[Symbol.asyncDispose]();
  await Promise.all([imported, cloned]);
  await using last = at.open();
  assert.deepEqual((await namesIn(last)).sort(), ["base", "include", "own", "web"]);
});

test("session: whoever says what is no request is sent away, and what is under way goes on", async () => {
  await using at = await scene();
  await using host = at.open();
  const { letGo, done } = slowImport(host, at, "late");
  await untilOpen(at);
  const { socket: path } = new StorePaths(at.store);
  for (const bytes of [Buffer.from("GET / HTTP/1.0\r\n\r\n"), Buffer.from([0, 0, 0, 2, 0xff, 0x00]), Buffer.alloc(4)]) {
    const socket = connect(path);
    socket.on("error", () => undefined);
    socket.end(bytes);
    await once(socket, "close");
  }
  letGo();
  await done;
  assert.deepEqual((await namesIn(host)).sort(), ["base", "late"]);
});

test("session: a guest's own stream is read to its end before the host ends", async () => {
  await using at = await scene();
  const host = at.open();
  const own = slowImport(host, at, "own");
  await untilOpen(at);
  await using guest = at.open();
  const visit = slowImport(guest, at, "visit");
  await sleep(200);
  own.letGo();
  await own.done;
  const closed = host[Symbol.asyncDispose]();
  visit.letGo();
  await Promise.all([visit.done, closed]);
  assert.deepEqual((await namesIn(guest)).sort(), ["base", "own", "visit"]);
});

test("session: an abort ends what is done elsewhere, with the reason", async () => {
  await using at = await scene();
  await using host = at.open();
  const own = slowImport(host, at, "own");
  await untilOpen(at);
  await using guest = at.open();
  const controller = new AbortController();
  const caller = { ...CALLER, signal: controller.signal };
  const imported = guest.api.importLayer(caller, { source: "/usr", name: "usr", onProgress: undefined } as never);
  const reason = new Error("enough");
  setTimeout(() => controller.abort(reason), 300);
  await assert.rejects(imported, reason);
  own.letGo();
  await own.done;
  assert.deepEqual((await namesIn(host)).sort(), ["base", "own"]);
});

test("session: done, and the process killed before it could say so: known by the history, and not done twice", async () => {
  await using at = await scene();
  const store = await Store.open(at.store);
  // What that process would do, up to its end.
  const directory = openSync(store.paths.private, "r");
  let asked = 0;
  const server = createServer((socket) => {
    const wire = new Wire<FromGuest, FromHost>(socket);
    void (async () => {
      const message = await wire.receive();
      assert.ok(message?.type === "request" && message.place === place());
      asked++;
      wire.send({ type: "begun" });
      await clone({ store, command: message.command, request: message.request }, message.params as never);
      await store[Symbol.asyncDispose]();
      server.close();
      wire.destroy();
    })();
  });
  await new Promise<void>((resolve) => server.listen(`/proc/self/fd/${directory}/host.sock`, resolve));
  await using session = at.open();
  const params = { ref: "base", names: ["web"], noLxc: true };
  await assert.rejects(session.api.clone(CALLER, params), { code: "RESULT_LOST" });
  assert.equal(asked, 1);
  assert.deepEqual((await namesIn(session)).sort(), ["base", "web"]);
  await assert.rejects(session.api.clone(CALLER, params), { code: "EXISTS" });
});

test("session: nobody is behind the socket, it is no socket, it is somebody else's place: the store is waited for", async () => {
  await using at = await scene();
  const { socket } = new StorePaths(at.store);
  writeFileSync(socket, "");
  {
    await using session = at.open();
    assert.deepEqual(await namesIn(session), ["base"]);
  }
  rmSync(socket, { force: true });
  symlinkSync("/nowhere", socket);
  const store = await Store.open(at.store, { command: "a program" });
  await using waiting = at.open({ waitSeconds: 0.2 });
  await assert.rejects(namesIn(waiting), { code: "STORE_LOCKED" });
  setTimeout(() => void store[Symbol.asyncDispose](), 200);
  await using patient = at.open();
  assert.deepEqual(await namesIn(patient), ["base"]);
});
