import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { StoreError } from "../../errors.ts";
import { requireSize } from "../../model/size.ts";
import type { BindMount, ExecParams, Executed, Outcome, Ran, RunParams } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { changeDocument, describeChange } from "../changes.ts";
import { failureOf } from "../failure.ts";
import { showLosses } from "../losses.ts";
import { parseLabels } from "../options.ts";
import type { Option, Options } from "../options.ts";
import type { Output } from "../output.ts";
import { stepsFor } from "../session.ts";
import { stderr } from "../streams.ts";
import { visible } from "../text.ts";

const JOBS_OPTION: Option = { flags: "-j, --jobs <N>", description: "how many at a time (default: one per CPU)" };
const ENV_OPTION: Option = { flags: "--env <K=V>", description: "a variable of CMD's environment", repeat: true };

/** What has containers run. */
export const runCommands: readonly Command[] = [
  {
    name: "start",
    args: ["NAME…"],
    nameAt: 0,
    summary: "start containers, and wait until they run",
    options: [JOBS_OPTION],
    run: async (call) => {
      const { start } = await import("../../operations/start.ts");
      const params = { names: call.args, jobs: jobsOf(call.options) };
      const started = await start(stepsFor(call), params, call.interrupt.signal);
      return await report(call, "start", started, ({ name, started }) => `${name}: ${started ? "started" : "runs"}`);
    },
  },
  {
    name: "stop",
    args: ["NAME…"],
    nameAt: 0,
    summary: "stop containers, and capture what they changed",
    options: [
      JOBS_OPTION,
      {
        flags: "-t, --timeout <S>",
        description: "seconds until what does not end is killed; 0: at once (default: 60)",
      },
    ],
    run: async (call) => {
      const { stop } = await import("../../operations/stop.ts");
      const seconds = call.options.number("timeout", 0) ?? STOP_SECONDS;
      const params = { names: call.args, jobs: jobsOf(call.options), seconds };
      const stopped = await stop(stepsFor(call), params, call.interrupt.signal);
      return await report(
        call,
        "stop",
        stopped,
        ({ name, stopped }) => `${name}: ${stopped ? "stopped" : "did not run"}`,
      );
    },
  },
  {
    name: "exec",
    args: ["NAME…"],
    nameAt: 0,
    program: true,
    summary: "run a program in running containers",
    options: [JOBS_OPTION, ENV_OPTION],
    details: [
      "In one container CMD has this command's streams and terminal. In several it has no input, and its output comes line",
      "by line with the container's name. The exit code is CMD's, of several the greatest.",
    ].join("\n"),
    run: exec,
  },
  {
    name: "run",
    args: ["REF"],
    nameAt: 0,
    program: true,
    failureExit: 125,
    summary: "run a program in a container made for it, which is gone afterwards",
    options: [
      { flags: "--timeout <S>", description: "seconds until all of it is killed" },
      ENV_OPTION,
      { flags: "--bind <SRC:DST[:ro]>", description: "a file or directory of the host that it sees", repeat: true },
      { flags: "--memory <SIZE>", description: "how much memory it may use, as 512M" },
      { flags: "--cpus <N>", description: "how much of the CPUs it may use, as 1.5" },
      {
        flags: "--get <PATH:DIR>",
        description: "what to copy out afterwards, into a directory that is there",
        repeat: true,
      },
      { flags: "--diff", description: "say what CMD changed, on standard error" },
      { flags: "--keep <NAME>", description: "keep the container, stopped, by this name" },
      { flags: "-P, --lxcpath <DIR>", description: "where its LXC directory is" },
      { flags: "--config <FILE>", description: "an LXC config whose keys go before our defaults" },
      { flags: "--set <KEY=VALUE>", description: "one key of the LXC config", repeat: true },
      { flags: "--label <K=V>", description: "a label, to find it by", repeat: true },
    ],
    details: [
      "The exit code is CMD's, 128 + N if signal N ended it; 126 if it cannot be executed, 127 if it is not found, 124 if it took",
      "too long, 125 if delta0 itself failed. Standard output is CMD's; what delta0 has to say goes to standard error.",
    ].join("\n"),
    run,
  },
];

/** As lxc-stop has it. */
const STOP_SECONDS = 60;

function jobsOf(options: Options): number {
  const jobs = options.number("jobs", 1) ?? availableParallelism();
  if (Number.isInteger(jobs)) return jobs;
  throw new StoreError("USAGE", { reason: `--jobs takes a whole number, not "${jobs}"` });
}

/** Says what became of each. @returns the exit code of the worst */
async function report<T extends Outcome>(
  call: Call,
  verb: string,
  outcomes: readonly T[],
  describe: (outcome: T) => string | undefined,
): Promise<number> {
  const items = outcomes.map((outcome) => ({
    ...outcome,
    failure: outcome.failure === null ? null : failureOf(outcome.failure),
  }));
  await call.output.confirm(verb, { items }, () =>
    outcomes.flatMap((outcome) => (outcome.failure === null ? (describe(outcome) ?? []) : [])).map(visible),
  );
  let exit = 0;
  for (const { failure } of outcomes) {
    if (failure === null) continue;
    const failed = failureOf(failure);
    await call.output.fail(failed, failure);
    exit = Math.max(exit, failed.exit);
  }
  return exit;
}

async function exec(call: Call): Promise<number> {
  const { args: names, program, options } = call;
  const { exec } = await import("../../operations/exec.ts");
  const params = { names, program, jobs: jobsOf(options), environment: environmentOf(options) };
  if (options.flag("json")) return await execForDocument(call, exec, params);
  const isAlone = names.length === 1;
  const lines = new Lines(call.output);
  const executed = await exec(
    stepsFor(call),
    { ...params, ...(!isAlone && { onOutput: lines.add }) },
    call.interrupt.signal,
  );
  lines.end();
  return await reportExecuted(call, executed);
}

async function reportExecuted(call: Call, executed: readonly Executed[]): Promise<number> {
  call.output.takeStdout();
  const exit = await report(call, "exec", executed, () => undefined);
  for (const { name, exitCode } of executed)
    if (executed.length > 1 && exitCode) call.output.note(`delta0: ${name}: ended with ${exitCode}`);
  return Math.max(exit, ...executed.map(({ exitCode }) => exitCode ?? 0));
}

type Exec = typeof import("../../operations/exec.ts").exec;

async function execForDocument(call: Call, exec: Exec, params: ExecParams): Promise<number> {
  const said = new Map(params.names.map((name) => [name, { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }]));
  const onOutput: ExecParams["onOutput"] = (name, stream, bytes) => void said.get(name)?.[stream].push(bytes);
  const executed = await exec(stepsFor(call), { ...params, onOutput }, call.interrupt.signal);
  const items = executed.map((item) => ({
    ...item,
    stdout: Buffer.concat(said.get(item.name)?.stdout ?? []).toString("utf8"),
    stderr: Buffer.concat(said.get(item.name)?.stderr ?? []).toString("utf8"),
  }));
  const exit = await report(call, "exec", items, () => undefined);
  return Math.max(exit, ...executed.map(({ exitCode }) => exitCode ?? 0));
}

/** What several programs say at once, in whole lines with their containers' names. */
class Lines {
  readonly #output: Output;
  readonly #begun = new Map<string, string>();

  constructor(output: Output) {
    this.#output = output;
  }

  readonly add = (name: string, stream: "stdout" | "stderr", bytes: Uint8Array): void => {
    const key = `${stream} ${name}`;
    const lines = `${this.#begun.get(key) ?? ""}${Buffer.from(bytes).toString("latin1")}`.split("\n");
    this.#begun.set(key, lines.pop() ?? "");
    for (const line of lines) this.#write(name, stream, line);
  };

  /** What ended without a newline. */
  end(): void {
    for (const [key, line] of this.#begun) {
      const [stream = "", name = ""] = key.split(" ");
      if (line !== "") this.#write(name, stream, line);
    }
  }

  #write(name: string, stream: string, line: string): void {
    const bytes = Buffer.from(`${name}: ${line}\n`, "latin1");
    if (stream === "stderr") stderr().write(bytes);
    // A reader who has enough of it is no reason to end what runs in containers.
    else void this.#output.bytes(bytes).catch(() => undefined);
  }
}

async function run(call: Call): Promise<number> {
  const { args, program, options, output } = call;
  const [ref = ""] = args;
  // It is the program's.
  output.takeStdout();
  const settings = options.list("set");
  const memory = options.text("memory");
  const params: RunParams = {
    ref,
    program,
    environment: environmentOf(options),
    binds: options.list("bind").map(parseBind),
    labels: parseLabels(options.list("label")),
    copies: options.list("get").map(parseCopy),
    diff: options.flag("diff"),
    memoryBytes: memory === undefined ? undefined : requireSize(memory),
    cpus: options.number("cpus", 0.01),
    ...options.textAs("keep"),
    ...options.pathAs("lxcPath", "lxcpath"),
    ...options.pathAs("config"),
    ...(settings.length > 0 && { settings }),
    ...timeoutOf(options),
  };
  const { run } = await import("../../operations/run.ts");
  const ran = await run(stepsFor(call), params, call.interrupt.signal);
  if (ran.leftBehind !== null)
    output.warn(`${ran.name} is still there, and goes with the next run: ${ran.leftBehind.message}`);
  await showRan(call, ran);
  return ran.exitCode;
}

async function showRan(call: Call, ran: Ran): Promise<void> {
  const { changes, copied, leftBehind: _said, ...rest } = ran;
  const document = { ...rest, copied, ...(changes !== null && { changes: changes.map(changeDocument) }) };
  await call.output.show("run", document, function* () {
    for (const change of changes ?? []) yield describeChange(change, call.options.flag("verbose"));
  });
  for (const { losses, omitted } of copied) showLosses(call, losses, omitted);
}

function timeoutOf(options: Options): Pick<RunParams, "timeoutSeconds"> {
  const timeoutSeconds = options.number("timeout", 0);
  return timeoutSeconds === undefined ? {} : { timeoutSeconds };
}

function environmentOf(options: Options): Readonly<Record<string, string>> {
  const pairs = options.list("env").map((text): [string, string] => {
    const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (key !== undefined && value !== undefined) return [key, value];
    throw new StoreError("USAGE", { reason: `"${text}" sets no variable`, hint: "write --env NAME=VALUE" });
  });
  return Object.fromEntries(pairs);
}

/** SRC may have colons: DST begins at the last ":/". */
function parseBind(text: string): BindMount {
  const [, source, target, mode] = /^(.+):(\/.*?)(?::(ro|rw))?$/s.exec(text) ?? [];
  if (source !== undefined && target !== undefined) return { source: resolve(source), target, readOnly: mode === "ro" };
  throw new StoreError("USAGE", {
    reason: `"${text}" is nothing to bind`,
    hint: "write --bind SRC:DST or SRC:DST:ro, with DST absolute",
  });
}

function parseCopy(text: string): { readonly path: string; readonly target: string } {
  const [, path, target] = /^(\/.*):(.+)$/s.exec(text) ?? [];
  if (path !== undefined && target !== undefined) return { path, target: resolve(target) };
  throw new StoreError("USAGE", {
    reason: `"${text}" is nothing to copy out`,
    hint: "write --get /path/in/container:DIR, with a DIR that is there",
  });
}
