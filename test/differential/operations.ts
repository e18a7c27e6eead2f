/** The calls that are compared, as plain data: a counterexample prints as it is to be read and run again. */

/** What open(2) takes, by the names of node:fs's constants. */
export type OpenFlag =
  "O_RDONLY" | "O_WRONLY" | "O_RDWR" | "O_CREAT" | "O_EXCL" | "O_TRUNC" | "O_APPEND" | "O_NOFOLLOW" | "O_DIRECTORY";

/** Nanoseconds since 1970, as text so that it prints; "now" is the clock. */
export type Time = string;

/**
 * One call. Paths are byte strings that begin with "/", the root of the view; `slot` numbers what is open; `at` null is the
 * handle's own position; bytes are `pattern(seed, length)`; attribute values are hex.
 */
export type Op =
  | { op: "open"; slot: number; path: string; flags: readonly OpenFlag[]; mode: number }
  | { op: "close"; slot: number }
  | { op: "read"; slot: number; at: number | null; length: number }
  | { op: "write"; slot: number; at: number | null; length: number; seed: number }
  | { op: "ftruncate"; slot: number; size: number }
  | { op: "punch"; slot: number; start: number; length: number }
  | { op: "fstat"; slot: number }
  | { op: "fchmod"; slot: number; mode: number }
  | { op: "fchown"; slot: number; uid: number; gid: number }
  | { op: "futimes"; slot: number; mtime: Time }
  | { op: "fsync"; slot: number }
  | { op: "writeFile"; path: string; append: boolean; length: number; seed: number }
  | { op: "readFile"; path: string }
  | { op: "truncate"; path: string; size: number }
  | { op: "copyFile"; path: string; to: string; exclusive: boolean }
  | { op: "mkdir"; path: string; mode: number }
  | { op: "mknod"; path: string; type: NodType; mode: number; major: number; minor: number }
  | { op: "symlink"; target: string; path: string }
  | { op: "link"; path: string; to: string }
  | { op: "unlink"; path: string }
  | { op: "rmdir"; path: string }
  | { op: "rename"; path: string; to: string; flag: RenameFlag }
  | { op: "chmod"; path: string; mode: number }
  | { op: "chown"; path: string; follow: boolean; uid: number; gid: number }
  | { op: "utimes"; path: string; follow: boolean; mtime: Time }
  | { op: "setxattr"; path: string; follow: boolean; name: string; value: string; flag: XattrFlag }
  | { op: "removexattr"; path: string; follow: boolean; name: string }
  | { op: "getxattr"; path: string; follow: boolean; name: string }
  | { op: "stat"; path: string; follow: boolean }
  | { op: "readlink"; path: string }
  | { op: "readdir"; path: string };

export type OpNamed<K extends Op["op"]> = Extract<Op, { op: K }>;
/** Calls that change what is open, without telling anything. */
export type HandleChange = OpNamed<"ftruncate" | "punch" | "fchmod" | "fchown" | "futimes" | "fsync">;
/** Calls that change what has a path, without telling anything. */
export type PathChange = OpNamed<
  | "truncate"
  | "copyFile"
  | "mkdir"
  | "mknod"
  | "symlink"
  | "link"
  | "unlink"
  | "rmdir"
  | "rename"
  | "chmod"
  | "chown"
  | "utimes"
  | "setxattr"
  | "removexattr"
>;

export type NodType = "file" | "fifo" | "socket" | "character" | "block";
export type RenameFlag = "none" | "noreplace" | "exchange";
export type XattrFlag = "none" | "create" | "replace";

/**
 * What a call gave: "ok", "ok " and what was read, or the name of an errno. Each system says it in the same words, those of
 * the functions below.
 */
export type Outcome = string;

/** What drives one implementation of a filesystem. */
export interface System {
  readonly name: string;
  apply(op: Op): Outcome | Promise<Outcome>;
  /** All there is to see. */
  snapshot(): Snapshot | Promise<Snapshot>;
}

/** Fields of each node by its path, "" for the root: only those that are to be compared. */
export type Snapshot = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** Bytes without runs of zeros; seed 0 is all zeros. */
export function pattern(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  if (seed === 0) return bytes;
  for (let i = 0; i < length; i++) bytes[i] = ((seed * 31 + i * 7 + (i >> 8)) & 0xff) | 1;
  return bytes;
}

export interface StatFields {
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;
  readonly rdev: string;
  readonly mtime: bigint | "clock";
}

/** What is compared of stat(2): not a directory's size and nlink, for which each filesystem has its own rule. */
export function statFields({ type, mode, uid, gid, nlink, size, rdev, mtime }: StatFields): Record<string, string> {
  return {
    type,
    mode: mode.toString(8),
    owner: `${uid}:${gid}`,
    ...(type === "directory" ? {} : { nlink: String(nlink) }),
    ...(type === "file" || type === "symlink" ? { size: String(size) } : {}),
    ...(type === "character" || type === "block" ? { rdev } : {}),
    mtime: String(mtime),
  };
}

export function statOutcome(fields: StatFields): Outcome {
  const words = Object.entries(statFields(fields)).map(([name, value]) => `${name}=${value}`);
  return `ok ${words.join(" ")}`;
}

/** A time that a test has set, or "clock": all those that tests set lie before 2020. */
export function knownTime(sec: number, nsec: number): bigint | "clock" {
  return sec > CLOCK_SEC ? "clock" : BigInt(sec) * 1_000_000_000n + BigInt(nsec);
}

const CLOCK_SEC = 1_577_836_800;

/** @returns undefined for "now" */
export function timeParts(time: Time): { readonly sec: number; readonly nsec: number } | undefined {
  if (time === "now") return undefined;
  const ns = BigInt(time);
  const nsec = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { sec: Number((ns - nsec) / 1_000_000_000n), nsec: Number(nsec) };
}
