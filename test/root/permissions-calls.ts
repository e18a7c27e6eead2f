import { accessSync, chmodSync, closeSync, constants, lchownSync, linkSync, mkdirSync, openSync } from "node:fs";
import { rmdirSync, symlinkSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { type Owned, ownsOrIsRoot } from "../../src/overlay/credentials.ts";
import * as rules from "../../src/overlay/permissions.ts";
import * as xattrRules from "../../src/overlay/xattr-permissions.ts";
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, libc } from "../../src/sys/libc.ts";
import { aclValues, capabilityValues, gids, modes, uids } from "../overlay/permissions-support.ts";
import { c, caught, done, listed, setxattr, truncate } from "./act-as.ts";
import type { Places, Scene } from "./permissions-scene.ts";

const { W_OK, X_OK } = constants;

/** One call of Linux: what the rules say of it, and the call itself. */
export interface Call {
  /** False where other rules than these decide. */
  readonly applies?: (scene: Scene) => boolean;
  readonly may: (scene: Scene) => string | undefined;
  /** Made by the caller. @returns errno */
  readonly make: (places: Places, file: number | undefined) => string | undefined;
  /** What is at a place after it. */
  readonly then?: (scene: Scene) => readonly [place: keyof Places, owned: Owned];
}

function isOf(format: number): (scene: Scene) => boolean {
  return ({ node }) => (node.mode & constants.S_IFMT) === format;
}

const isFile = isOf(constants.S_IFREG);
const isLink = isOf(constants.S_IFLNK);
const isDirectory = isOf(constants.S_IFDIR);
const followed = (scene: Scene): boolean => !isLink(scene);

/** Search of `from`, then what `rule` says of its node. */
function inFrom(rule: (scene: Scene) => string | undefined): Call["may"] {
  return (scene) => rules.mayAccess(scene.caller, scene.from, X_OK) ?? rule(scene);
}

function inTo(rule: (scene: Scene) => string | undefined): Call["may"] {
  return (scene) => rules.mayAccess(scene.caller, scene.to, X_OK) ?? rule(scene);
}

function creates(format: number, mode: number, make: Call["make"]): Call {
  return {
    may: inTo(({ caller, to }) => rules.mayCreate(caller, to, format)),
    make,
    then: ({ caller, to, umask }) => ["free", rules.newNode(caller, to, format | mode, umask)],
  };
}

const openFlags = fc
  .tuple(
    fc.constantFrom(constants.O_RDONLY, constants.O_WRONLY, constants.O_RDWR),
    fc.constantFrom(0, constants.O_TRUNC, constants.O_APPEND),
  )
  .map(([access, more]) => access | more);
const changedIds = fc.tuple(fc.oneof(fc.constant(-1), uids), fc.oneof(fc.constant(-1), gids));
const xattrNames = fc.oneof(
  fc.constantFrom("user.a", "trusted.a", "security.a", "security.capability"),
  fc.constantFrom("system.posix_acl_access", "system.posix_acl_default"),
  fc.constantFrom(
    ...["user.b", "user.", "trusted.b", "trusted.", "security.b", "security.", "system.foo", "foo.bar", "user", ""],
    ...[`user.${"n".repeat(250)}`, `user.${"n".repeat(251)}`],
  ),
);
const xattrValues = fc.oneof(
  fc.constantFrom(Uint8Array.of(1), new Uint8Array(), new Uint8Array(65537)),
  capabilityValues,
  aclValues,
);
const settings = fc.oneof(
  fc.tuple(xattrNames, xattrValues),
  fc.tuple(fc.constantFrom("system.posix_acl_access", "system.posix_acl_default"), aclValues),
  fc.tuple(fc.constant("security.capability"), capabilityValues),
);
const flags = fc.constantFrom(undefined, "create" as const, "replace" as const);

/** Each call with its name and arguments, for the report of a failure. */
export const calls: fc.Arbitrary<readonly [string, Call]> = fc.oneof(
  named("access", fc.integer({ min: 1, max: 7 }), (wanted) => ({
    applies: followed,
    may: inFrom(({ caller, node }) => rules.mayAccess(caller, node, wanted)),
    make: ({ node }) => caught(() => accessSync(node, wanted)),
  })),
  named("open", openFlags, (flags) => ({
    applies: (scene) => isFile(scene) || isDirectory(scene),
    may: inFrom(({ caller, node }) => rules.mayOpen(caller, node, flags)),
    make: ({ node }) => caught(() => closeSync(openSync(node, flags))),
    then: ({ caller, node }) => ["node", (flags & constants.O_TRUNC) === 0 ? node : rules.afterChange(caller, node)],
  })),
  named("create", modes, (mode) =>
    creates(constants.S_IFREG, mode, ({ free }) => caught(() => closeSync(openSync(free, "wx", mode)))),
  ),
  named("mkdir", modes, (mode) => creates(constants.S_IFDIR, mode, ({ free }) => caught(() => mkdirSync(free, mode)))),
  named("mkfifo", modes, (mode) =>
    creates(constants.S_IFIFO, mode, ({ free }) =>
      done(libc().mknodat(AT_FDCWD, c(free), constants.S_IFIFO | mode, 0)),
    ),
  ),
  named("mknod", modes, (mode) =>
    creates(constants.S_IFCHR, mode, ({ free }) =>
      done(libc().mknodat(AT_FDCWD, c(free), constants.S_IFCHR | mode, 0x103)),
    ),
  ),
  named("symlink", fc.constant(0o777), (mode) =>
    creates(constants.S_IFLNK, mode, ({ free }) => caught(() => symlinkSync("target", free))),
  ),
  named("link", fc.constant(0), () => ({
    // Else fs.protected_hardlinks decides.
    applies: ({ caller, node }) => ownsOrIsRoot(caller, node),
    may: inFrom(
      inTo((scene) => {
        const { caller, node, to } = scene;
        return rules.mayCreate(caller, to, node.mode & constants.S_IFMT) ?? (isDirectory(scene) ? "EPERM" : undefined);
      }),
    ),
    make: ({ node, free }) => caught(() => linkSync(node, free)),
    then: ({ node }) => ["free", node],
  })),
  named("unlink", fc.constant(0), () => ({
    may: inFrom(({ caller, from, node }) => rules.mayRemove(caller, from, node, "unlink")),
    make: ({ node }) => caught(() => unlinkSync(node)),
  })),
  named("rmdir", fc.constant(0), () => ({
    may: inFrom(({ caller, from, node }) => rules.mayRemove(caller, from, node, "rmdir")),
    make: ({ node }) => caught(() => rmdirSync(node)),
  })),
  ...[named("rename", fc.constantFrom("free", "other", "exchange", "same"), renames)],
  named("chmod", modes, (mode) => ({
    applies: followed,
    may: inFrom(({ caller, node }) => rules.mayChmod(caller, node)),
    make: ({ node }) => caught(() => chmodSync(node, mode)),
    then: ({ caller, node }) => ["node", rules.afterChmod(caller, node, mode)],
  })),
  named("chown", changedIds, ([uid, gid]) => ({
    may: inFrom(({ caller, node }) => rules.mayChown(caller, node, uid, gid)),
    make: ({ node }) => caught(() => lchownSync(node, uid, gid)),
    then: ({ caller, node }) => ["node", rules.afterChown(caller, node, uid, gid)],
  })),
  named("utimes", fc.boolean(), (now) => ({
    may: inFrom(({ caller, node }) => rules.mayUtimes(caller, node, now)),
    make: ({ node }) => done(libc().utimensat(AT_FDCWD, c(node), now ? 0n : new Uint8Array(32), AT_SYMLINK_NOFOLLOW)),
    then: ({ node }) => ["node", node],
  })),
  named("write", fc.constant(0), () => ({
    applies: isFile,
    may: () => undefined,
    make: (_, file) => caught(() => writeSync(file!, "x")),
    then: ({ caller, node }) => ["node", rules.afterChange(caller, node)],
  })),
  named("truncate", fc.constantFrom(0, 10), (size) => ({
    applies: isFile,
    may: inFrom(({ caller, node }) => rules.mayAccess(caller, node, W_OK)),
    make: ({ node }) => truncate(node, size),
    then: ({ caller, node }) => ["node", rules.afterChange(caller, node)],
  })),
  ...[
    named("setxattr", fc.tuple(settings, flags), ([[name, value], flag]) => ({
      // Where the view is stricter than Linux.
      applies: () => name !== "security.capability" || value.length > 0,
      may: (scene) =>
        xattrRules.flawOfXattr(name, value) ??
        inFrom(({ caller, node }) => xattrRules.maySetxattr(caller, node, name, value, flag))(scene),
      make: ({ node }) => setxattr(node, name, value, flag),
      then: ({ caller, node }) => ["node", xattrRules.afterSetxattr(caller, node, name, value)] as const,
    })),
    named("removexattr", xattrNames, (name) => ({
      may: (scene) =>
        xattrRules.flawOfXattr(name) ??
        inFrom(({ caller, node }) => xattrRules.mayRemovexattr(caller, node, name))(scene),
      make: ({ node }) => done(libc().lremovexattr(c(node), c(name))),
      then: ({ node }) => ["node", xattrRules.afterRemovexattr(node, name)] as const,
    })),
    named("getxattr", xattrNames, (name) => ({
      may: (scene) =>
        xattrRules.flawOfXattr(name) ?? inFrom(({ caller, node }) => xattrRules.mayGetxattr(caller, node, name))(scene),
      make: ({ node }) => done(libc().lgetxattr(c(node), c(name), new Uint8Array(1000), 1000)),
    })),
    named("listxattr", fc.constant(0), () => ({
      // Names take the place of an errno here.
      may: inFrom(({ caller, node }) =>
        xattrRules
          .visibleXattrs(caller, node)
          .map(({ name }) => name)
          .join(),
      ),
      make: ({ node }) => listed(node),
    })),
  ],
);

function renames(how: "free" | "other" | "exchange" | "same"): Call {
  const EXCHANGE = 2;
  return {
    may: inFrom((scene) => {
      const { caller, node, from, to, other } = scene;
      if (how === "same") {
        return rules.mayRename(caller, { node, from, to: from, stays: true, replaced: undefined, exchange: false });
      }
      const replaced = how === "free" ? undefined : other;
      const rename = { node, from, to, stays: false, replaced, exchange: how === "exchange" };
      return inTo(() => rules.mayRename(caller, rename))(scene);
    }),
    make: ({ node, from, other, free }) => {
      const target = how === "free" ? free : how === "same" ? join(from, "moved") : other;
      return done(libc().renameat2(AT_FDCWD, c(node), AT_FDCWD, c(target), how === "exchange" ? EXCHANGE : 0));
    },
  };
}

function named<T>(
  name: string,
  argument: fc.Arbitrary<T>,
  call: (argument: T) => Call,
): fc.Arbitrary<readonly [string, Call]> {
  return argument.map((value) => [`${name} ${fc.stringify(value).slice(0, 200)}`, call(value)] as const);
}
