import { StoreError } from "../errors.ts";
import type { Dialect } from "../format/overlay-xattrs.ts";
import type { ContentWriter, RawChange } from "../model/change.ts";
import { capabilities } from "../sys/host.ts";
import { userNamespace } from "../sys/user-namespace.ts";
import { DeltaMarks } from "./delta-marks.ts";
import { directoryChanges } from "./directory.ts";
import type { NodeReaderOptions } from "./node-reader.ts";

export interface DeltaOptions extends NodeReaderOptions {
  /** Whose marks count, those of `trusted.overlay.*` or, of a mount with `userxattr`, `user.overlay.*`. Default: trusted */
  readonly dialect?: Dialect;
}

/**
 * What the upper (or a lower) directory of an overlay mount changes of the base below it. Not to be read while mounted.
 *
 * A mount with index=on keeps part of its hard links in `work/index`, where this does not look: whoever calls it sees
 * to it that there is none. What of it shows in the delta itself is refused.
 *
 * @throws {StoreError} as `directoryChanges`; NOT_PERMITTED if this process cannot see the marks; UNSUPPORTED for hard
 * links of index=on; SOURCE_INVALID for a mark that the kernel would not take
 */
export async function* deltaChanges(
  path: string,
  writer: ContentWriter,
  options: DeltaOptions = {},
): AsyncGenerator<readonly RawChange[], void, undefined> {
  const { dialect = "trusted", ...reading } = options;
  if (dialect === "trusted" && !seesTrusted())
    throw new StoreError("NOT_PERMITTED", {
      action: `reading trusted.overlay.* of ${path}`,
      hint: "run as root, outside of user namespaces",
    });
  const marks = new DeltaMarks(path, dialect);
  for await (const batch of directoryChanges(path, writer, reading)) {
    yield batch.flatMap((change) => marks.interpret(change));
  }
}

/** The kernel hides trusted.* from all but CAP_SYS_ADMIN of the first user namespace: no mark would be found. */
function seesTrusted(): boolean {
  return capabilities().has("CAP_SYS_ADMIN") && userNamespace() === undefined;
}
