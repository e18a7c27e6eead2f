import type { RawChange } from "../model/change.ts";
import { baseName, isName, joinPath, parentPath, ROOT } from "../model/name.ts";

const MARK = ".wh.";
const RESERVED = ".wh..wh.";
const OPAQUE = ".wh..wh..opq";

/**
 * What an entry of a layer's tar means over the layers below: files that are named so are marks. Source: the OCI image specification
 * 1.1, layer.md, "Whiteouts".
 *
 * @returns undefined for other names that are reserved, as aufs left them behind
 */
export function withoutOciMark(change: RawChange): RawChange | undefined {
  const { path } = change;
  if (path === ROOT) return change;
  const name = baseName(path);
  if (!name.startsWith(MARK)) return change;
  const parent = parentPath(path);
  if (name === OPAQUE) return { kind: "opaque", path: parent };
  const hidden = name.slice(MARK.length);
  if (name.startsWith(RESERVED) || !isName(hidden)) return undefined;
  return { kind: "whiteout", path: joinPath(parent, hidden) };
}
