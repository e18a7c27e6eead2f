import { StoreError } from "../errors.ts";
import type { TreeView } from "../overlay/tree-view.ts";
import { fileFailure } from "./file-failure.ts";

/** -1 for what stays as it is. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * An owner as chown(1) takes it. What the container has as a name is one; else it is a number, and "+N" always is.
 *
 * @param container for messages
 * @throws {StoreError} NOT_FOUND for a name that its /etc/passwd or /etc/group has not, USAGE for what is no owner
 */
export function findOwner(view: TreeView, container: string, text: string): Owner {
  const [, user = "", colon = "", group = ""] = /^([^:]*)(:?)([^:]*)$/.exec(text) ?? [];
  if (user === "" && group === "")
    throw new StoreError("USAGE", { reason: `"${text}" is no owner`, hint: "write USER, USER:GROUP or :GROUP" });
  const passwd = { view, container, file: "/etc/passwd", kind: "user" };
  const uid = user === "" ? -1 : findId(passwd, user);
  if (group !== "") return { uid, gid: findId({ view, container, file: "/etc/group", kind: "group" }, group) };
  return { uid, gid: colon === "" ? -1 : ownGroup(passwd, user) };
}

interface Database {
  readonly view: TreeView;
  readonly container: string;
  readonly file: string;
  readonly kind: string;
}

function findId(database: Database, text: string): number {
  const named = text.startsWith("+") ? undefined : lineOf(database, text)?.[ID_FIELD];
  const id = named ?? /^\+?([0-9]+)$/.exec(text)?.[1];
  if (id !== undefined && /^[0-9]+$/.test(id) && Number(id) < MAX_ID) return Number(id);
  const { container, file, kind } = database;
  if (named !== undefined || id !== undefined)
    throw new StoreError("USAGE", { reason: `${kind} "${text}" has no number that an owner can have` });
  throw new StoreError("NOT_FOUND", { what: `${container}:${file} has no ${kind} "${text}"` });
}

function ownGroup(passwd: Database, user: string): number {
  const gid = lineOf(passwd, user)?.[GROUP_FIELD];
  if (gid !== undefined && /^[0-9]+$/.test(gid) && Number(gid) < MAX_ID) return Number(gid);
  throw new StoreError("NOT_FOUND", {
    what: `${passwd.container}:${passwd.file} says no group of "${user}"`,
    hint: "name it: USER:GROUP",
  });
}

/** passwd(5) and group(5): the name, something, its number, and of a user that of his group. */
function lineOf({ view, container, file }: Database, name: string): string[] | undefined {
  let text: string;
  try {
    text = view.existsSync(file) ? view.readFileSync(file, "utf8") : "";
  } catch (error) {
    throw fileFailure(error, { ref: container, path: file });
  }
  const line = text.split("\n").find((each) => each.startsWith(`${name}:`));
  return line?.split(":");
}

const ID_FIELD = 2;
const GROUP_FIELD = 3;
/** (uid_t) -1, which says that it stays. */
const MAX_ID = 2 ** 32 - 1;
