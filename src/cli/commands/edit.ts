import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { StoreError } from "../../errors.ts";
import type { Call, Command } from "../command.ts";
import { withStore } from "../session.ts";
import { digestText, visible } from "../text.ts";

export const editCommands: readonly Command[] = [
  {
    name: "edit",
    args: ["NAME:/PATH"],
    summary: "change a file of a container with an editor",
    details:
      "$VISUAL, else $EDITOR, else vi. The store is not held while it runs. A file that was not changed is left alone. If it\n" +
      "cannot be written in the end, what you wrote stays in the temporary file that is named.",
    run: edit,
  },
];

async function edit(call: Call): Promise<number> {
  const [file = ""] = call.args;
  const editor = editorOf(process.env);
  await requireContainer(call, file);
  const before = await read(call, file);
  const directory = mkdtempSync(join(tmpdir(), "delta0-edit-"));
  // Its last name tells the editor what it is.
  const temporary = join(directory, basename(file) || "file");
  let isKept = false;
  try {
    writeFileSync(temporary, before, { mode: 0o600 });
    await run(editor, temporary);
    const after = readFileSync(temporary);
    if (after.equals(before)) {
      await call.output.confirm("edit", { path: file, changed: false }, () => [`${visible(file)}: not changed`]);
      return 0;
    }
    isKept = true;
    const digest = await write(call, file, { before, after });
    isKept = false;
    const document = { path: file, changed: true, digest: digestText(digest) };
    await call.output.confirm("edit", document, () => [`${visible(file)}: changed, ${after.length} bytes`]);
    return 0;
  } finally {
    if (isKept) call.output.note(`delta0: what you wrote is in ${temporary}`);
    else rmSync(directory, { recursive: true, force: true });
  }
}

/** @throws {StoreError} USAGE where there is neither an editor nor somebody to see one */
function editorOf(env: Readonly<Record<string, string | undefined>>): string {
  const editor = [env["VISUAL"], env["EDITOR"]].find((text) => text !== undefined && text !== "");
  if (editor !== undefined) return editor;
  if (process.stdin.isTTY && process.stdout.isTTY) return "vi";
  throw new StoreError("USAGE", { reason: "there is no terminal to edit at", hint: "set EDITOR, or use delta0 put" });
}

/** As git does, so that an editor may have arguments. @throws {StoreError} PROGRAM_FAILED */
async function run(editor: string, file: string): Promise<void> {
  const child = spawn("sh", ["-c", `${editor} "$@"`, editor, file], { stdio: "inherit" });
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  if (code === 0) return;
  throw new StoreError("PROGRAM_FAILED", {
    program: editor,
    reason: `${code === null ? `ended by ${signal ?? "a signal"}` : `exit ${code}`}: nothing was changed`,
  });
}

async function read(call: Call, file: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await withStore(call, (caller, api) =>
    api.cat(
      {
        ...caller,
        output: (bytes) => {
          pieces.push(Buffer.from(bytes));
          return Promise.resolve();
        },
      },
      { files: [file] },
    ),
  );
  return Buffer.concat(pieces);
}

/** Whoever edits what cannot be changed would learn it too late. */
async function requireContainer(call: Call, file: string): Promise<void> {
  const [ref = ""] = file.split(":");
  const { container } = await withStore(call, (caller, api) => api.show(caller, { ref }));
  if (container === null) throw new StoreError("USAGE", { reason: `"${ref}" is no container` });
  if (container.state === "running")
    throw new StoreError("REFUSED", { reason: `${ref} is running`, hint: "edit it there" });
}

/** @throws {StoreError} REFUSED if it is not what it was when the editor got it */
async function write(
  call: Call,
  file: string,
  { before, after }: { readonly before: Buffer; readonly after: Buffer },
): Promise<string> {
  if (!(await read(call, file)).equals(before))
    throw new StoreError("REFUSED", { reason: `${file} was changed meanwhile`, hint: "edit it again" });
  const input = (async function* () {
    yield await Promise.resolve(after);
  })();
  const done = await withStore(call, (caller, api) =>
    api.put({ ...caller, input }, { sources: ["-"], target: file, noTargetDirectory: true }),
  );
  return done.digest;
}
