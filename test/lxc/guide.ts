import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A fenced block of docs/lxc.md. */
export interface Block {
  /** Where its first command stands, for people. */
  readonly line: number;
  /** sh: a script that succeeds. console: commands after "$ ", each with what it answers. */
  readonly kind: "sh" | "console";
  readonly text: string;
  /** The text before it says that no test runs it. */
  readonly isMarked: boolean;
}

export interface ShownCommand {
  readonly command: string;
  /** "…" stands for any rest of a line; alone on its line, for any lines. */
  readonly answer: string;
}

export function guideBlocks(): Block[] {
  const lines = readFileSync(fileURLToPath(new URL("../../docs/lxc.md", import.meta.url)), "utf8").split("\n");
  const blocks: Block[] = [];
  let paragraph: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? "";
    const [, kind] = /^```(sh|console)$/.exec(line) ?? [];
    if (kind !== undefined) {
      const end = lines.indexOf("```", i);
      const text = lines.slice(i + 1, end).join("\n");
      const isMarked = /\*\*not run by the test\*\*/i.test(paragraph.join(" "));
      blocks.push({ line: i + 2, kind: kind as Block["kind"], text, isMarked });
      paragraph = [];
      i = end;
    } else if (line !== "") {
      if (lines[i - 1] === "") paragraph = [];
      paragraph.push(line);
    }
  }
  return blocks;
}

/** What a user types to have containers of his own: what each of his shells begins with, then how he comes to the first. */
export function userBlocks(): string[] {
  const texts = guideBlocks().map(({ text }) => text);
  const at = texts.findIndex((text) => text.includes("lxc-usernsexec"));
  return texts.slice(at, at + 2);
}

/** Of a console block. A command goes on after a line that ends with a backslash. */
export function shownCommands(text: string): ShownCommand[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [, command = "", answer = ""] = /^((?:.*\\\n)*.*)\n?([^]*)$/.exec(part) ?? [];
      return { command, answer: answer.trimEnd() };
    });
}

/** True if a command's output is as it is shown. */
export function isAnswer(shown: string, said: string): boolean {
  const pattern = shown
    .split("\n")
    .map((line) => (line.trim() === "…" ? "[^]*" : line.split("…").map(escaped).join(".*")))
    .join("\n");
  return new RegExp(`^${pattern}$`).test(said.trimEnd());
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
