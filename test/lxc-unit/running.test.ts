import assert from "node:assert/strict";
import { test } from "node:test";
import { commandSocket, listeningSockets, runningContainers } from "../../src/lxc/running.ts";

test("running: the socket is named after the container's directory", () => {
  assert.equal(commandSocket("/var/lib/lxc", "web"), "/var/lib/lxc/web/command");
  assert.equal(commandSocket("/var/lib/lxc//", "web"), "/var/lib/lxc/web/command");
  assert.equal(commandSocket("/lxc/ä", "web"), "/lxc/\xc3\xa4/web/command");
});

test("running: where that would be too long, it is named by a hash, as LXC 5.0.2 did", () => {
  const lxcPath = `/var/tmp/lxc-helper-probe/${"x".repeat(90)}`;
  assert.equal(commandSocket(lxcPath, "b"), "lxc/e720fa9baf35d76b/command");
  const longest = `/${"x".repeat(105 - "//b/command".length)}`;
  assert.equal(commandSocket(longest, "b"), `${longest}/b/command`);
  assert.match(commandSocket(`${longest}x`, "b"), /^lxc\/[0-9a-f]{16}\/command$/);
});

test("running: a connection without a listener does not count", () => {
  const text = `Num       RefCount Protocol Flags    Type St Inode Path
00000000faf0dfce: 00000002 00000000 00010000 0001 01  8603 @/lxc/a b/command
000000000fde44cf: 00000003 00000000 00000000 0001 03  9512 @/lxc/stopping/command
000000000f956f77: 00000002 00000000 00010000 0001 01 11451 /run/plain
000000000f956f78: 00000002 00000000 00010000 0001 01 11452
`;
  assert.deepEqual([...listeningSockets(text)], ["/lxc/a b/command"]);
});

test("running: what is not there does not run", () => {
  const place = { name: "web", lxcPath: "/nonexistent", upper: "/nonexistent/web/delta0" };
  assert.equal(runningContainers().isRunning(place), false);
  assert.equal(runningContainers().state(place), "stopped");
});
