import type { Interrupt } from "./interrupt.ts";
import type { Option, Options } from "./options.ts";
import type { Output } from "./output.ts";

/** A verb: how it is called, and what it does. Help, checks and completions come from this. */
export interface Command {
  /** One word, or several: "lxc hook". */
  readonly name: string;
  /** "SRC"; "[KEY]" may be left out; "NAME…" is one or more, "[REF…]" any number. */
  readonly args: readonly string[];
  readonly summary: string;
  readonly options?: readonly Option[];
  /** Which of `args` may be given as -n, --name instead. */
  readonly nameAt?: number;
  /** Takes a program and its arguments, after "--"; or, if it is "optional", arguments for one that an option names. */
  readonly program?: true | "optional";
  /** The exit code of all its failures, where the codes that failures have belong to the program. */
  readonly failureExit?: number;
  /** Takes long enough for --ndjson. */
  readonly long?: boolean;
  /** For programs: neither in the help nor in completions. */
  readonly hidden?: boolean;
  /** After the options in its help. */
  readonly details?: string;
  /** @returns the exit code */
  readonly run: (call: Call) => Promise<number>;
}

/** One call of a verb. */
export interface Call {
  readonly command: Command;
  readonly args: readonly string[];
  /** What stands after "--", if the verb takes a program; at least one word, unless that is optional. */
  readonly program: readonly string[];
  readonly options: Options;
  readonly output: Output;
  readonly interrupt: Interrupt;
  /** The call as text, for the history and for whoever waits for the store. */
  readonly text: string;
  readonly allCommands: () => Promise<readonly Command[]>;
}
