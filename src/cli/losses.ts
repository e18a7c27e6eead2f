import type { Exported } from "../index.ts";
import type { Call } from "./command.ts";

const EXIT_LOSSES = 3;

/** Says what could not be kept, and what was left out on demand. @returns the exit code */
export function showLosses(
  { options, output }: Call,
  losses: Exported["losses"],
  omitted: Exported["omitted"],
): number {
  if (omitted.length > 0 && !options.flag("quiet")) output.note(`delta0: left out for this user: ${summary(omitted)}`);
  if (losses.length === 0) return 0;
  output.note(`delta0: done, but could not keep: ${summary(losses)}`);
  for (const { kind, examples } of losses) for (const example of examples) output.note(`  ${kind}  ${example}`);
  return EXIT_LOSSES;
}

function summary(losses: Exported["losses"]): string {
  return losses.map((loss) => `${loss.kind} (${loss.count})`).join(", ");
}
