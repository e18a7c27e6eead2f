import assert from "node:assert/strict";
import { test } from "node:test";
import { requireCommands, requireLxc, requireRootfs } from "../support/requirements.ts";
import { unpackedRootfs } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { type Block, guideBlocks, isAnswer, shownCommands, userBlocks } from "./guide.ts";
import { openSandbox, type Sandbox } from "./sandbox.ts";

/** What the guide says that this test does not run, and why. */
const NOT_RUN: readonly string[] = [
  // It installs packages of the host; the root filesystem is a fixture of the tests.
  `apt-get install lxc mmdebstrap
mmdebstrap --variant=minbase --include=systemd-sysv,iproute2,openssh-server bookworm base.tar`,
  // They are another user's; started-by-a-user.test.ts runs them.
  ...userBlocks(),
];

/** Half of a Debian, which makes the test take half as long. */
const NOT_NEEDED = [
  "share/doc",
  "share/locale",
  "share/man",
  "share/zoneinfo",
  "share/perl",
  "lib/*/perl*",
  "lib/*/gconv",
];

test("guide: every block that is not run says so, and is listed here", () => {
  const marked = guideBlocks().filter(({ isMarked }) => isMarked);
  assert.deepEqual(
    marked.map(({ text }) => text),
    NOT_RUN,
  );
});

test("guide: all commands of docs/lxc.md work in the order in which they stand there, and answer as it shows", async (t) => {
  if (!requireLxc(t) || !requireRootfs(t, "bookworm") || !requireCommands(t, "unshare", "nsenter", "newuidmap")) return;
  await using at = await openSandbox();
  const excluded = NOT_NEEDED.map((path) => `--exclude=./usr/${path}`);
  const rootfs = await unpackedRootfs("bookworm");
  await run("tar", ["-C", rootfs, "--numeric-owner", "--xattrs", ...excluded, "-cf", `${at.home}/base.tar`, "."]);
  const blocks = guideBlocks().filter(({ isMarked }) => !isMarked);
  assert.ok(blocks.length > 20);
  for (const block of blocks) {
    const began = performance.now();
    await (block.kind === "sh" ? runScript(at, block) : runConsole(at, block));
    const seconds = (performance.now() - began) / 1000;
    if (seconds > SLOW_SECONDS) t.diagnostic(`docs/lxc.md:${block.line} took ${seconds.toFixed(1)} s`);
  }
});

const SLOW_SECONDS = 3;

async function runScript(at: Sandbox, { line, text }: Block): Promise<void> {
  const { code, output } = await at.run(`set -e\n${text}`);
  assert.equal(code, 0, `docs/lxc.md:${line}\n${text}\n${output}`);
}

/** A command that fails is followed by one that shows how: `echo $?`. */
async function runConsole(at: Sandbox, { line, text }: Block): Promise<void> {
  const commands = shownCommands(text);
  const { output } = await at.run(
    commands.map(({ command }) => `{ ${command}\n} 2>&1; code=$?; printf '\\1%s\\0' $code; (exit $code)`).join("\n"),
  );
  const answers = output.split("\0");
  for (const [i, { command, answer }] of commands.entries()) {
    const [said = "", code] = (answers[i] ?? "").split("\x01");
    assert.ok(isAnswer(answer, said), `docs/lxc.md:${line}\n$ ${command}\n${said}`);
    if (commands[i + 1]?.command !== "echo $?") assert.equal(code, "0", `docs/lxc.md:${line}\n$ ${command}\n${said}`);
  }
}
