import { spawn } from "node:child_process";
import type { LxcPlace } from "./lxc-calls.ts";

/** Has a container killed once this process is gone, however that happens, unless the guard was disposed of before. */
export function killWhenOrphaned({ lxcPath, name }: LxcPlace): Disposable {
  // In a session of its own: what kills this process by a terminal or its group spares it.
  const guard = spawn("/bin/sh", ["-c", SCRIPT, "delta0-guard", lxcPath, name], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  // A host without sh has no guards.
  guard.on("error", () => undefined);
  guard.unref();
  return { [Symbol.dispose]: () => guard.kill("SIGKILL") };
}

/** The kernel ends its input with this process. The container may be starting just then. */
const SCRIPT = `read -r _
tries=60
until lxc-stop -P "$1" -n "$2" -k || [ $tries -eq 0 ]; do
  sleep 0.5
  tries=$((tries - 1))
done`;
