import { StoreError } from "../../errors.ts";
import type { Command } from "../command.ts";
import { completionScript, SHELLS } from "../completion.ts";

/** For users' shells. */
export const shellCommands: readonly Command[] = [
  {
    name: "completion",
    args: ["SHELL"],
    summary: "the completion script for bash, zsh or fish",
    details: "bash: delta0 completion bash >/etc/bash_completion.d/delta0",
    run: async (call) => {
      const shell = SHELLS.find((known) => known === call.args[0]);
      if (shell === undefined)
        throw new StoreError("USAGE", {
          reason: `no completions for "${call.args[0] ?? ""}"`,
          hint: SHELLS.join(", "),
        });
      await call.output.text(completionScript(shell, await call.allCommands()));
      return 0;
    },
  },
];
