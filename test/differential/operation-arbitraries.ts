import fc from "fast-check";
import * as any from "./arbitraries.ts";
import type { Op, OpenFlag, XattrFlag } from "./operations.ts";

/** What random calls of `powers` do; `mine` owns what they make. */
export function anyOperation(powers: any.Powers, mine: readonly [uid: number, gid: number]): fc.Arbitrary<Op> {
  const path = anyCallPath(powers);
  const slot = fc.nat(2);
  const follow = fc.boolean();
  const mode = any.anyMode(powers, 0o700);
  const [uid, gid] = [orKept(any.anyId(powers, mine[0])), orKept(any.anyId(powers, mine[1]))];
  const mtime = fc.oneof({ weight: 4, arbitrary: any.anyTime }, { weight: 1, arbitrary: fc.constant("now") });
  const xattr = any.anyXattr(powers);
  const of = <K extends Op["op"]>(
    weight: number,
    op: K,
    fields: { [F in keyof Omit<Op & { op: K }, "op">]: fc.Arbitrary<(Op & { op: K })[F]> },
  ): fc.WeightedArbitrary<Op> => ({
    weight,
    arbitrary: fc.record({ op: fc.constant(op), ...fields }) as unknown as fc.Arbitrary<Op>,
  });
  return fc.oneof(
    of(10, "open", { slot, path, flags: anyFlags, mode }),
    of(2, "close", { slot }),
    of(6, "read", { slot, at: anyOffset, length: fc.constantFrom(1, 4096, 10_000, 400_000) }),
    of(8, "write", { slot, at: anyOffset, length: anyLength, seed: any.anySeed }),
    of(2, "ftruncate", { slot, size: any.anySize }),
    of(4, "punch", { slot, start: anyStart, length: fc.constantFrom(0, 1, 4096, 5000, 131_072, 200_000) }),
    of(3, "fstat", { slot }),
    of(1, "fchmod", { slot, mode }),
    of(1, "fchown", { slot, uid, gid }),
    of(1, "futimes", { slot, mtime }),
    of(1, "fsync", { slot }),
    of(10, "writeFile", { path, append: fc.boolean(), length: anyLength, seed: any.anySeed }),
    of(5, "readFile", { path }),
    of(3, "truncate", { path, size: any.anySize }),
    of(3, "copyFile", { path, to: path, exclusive: fc.boolean() }),
    of(12, "mkdir", { path, mode }),
    of(3, "mknod", {
      path,
      type: powers.privileged
        ? fc.constantFrom("file", "fifo", "socket", "character", "block")
        : fc.constantFrom("file", "fifo", "socket"),
      mode,
      major: fc.constant(60),
      minor: fc.constantFrom(7, 0xfffff),
    }),
    of(4, "symlink", { target: any.anyTarget(powers), path }),
    of(5, "link", { path, to: path }),
    of(8, "unlink", { path }),
    of(6, "rmdir", { path }),
    of(14, "rename", { path, to: path, flag: anyRenameFlag }),
    of(3, "chmod", { path, mode }),
    of(3, "chown", { path, follow, uid, gid }),
    of(3, "utimes", { path, follow, mtime }),
    {
      weight: 5,
      arbitrary: fc
        .record({ path, follow, xattr, flag: fc.constantFrom<XattrFlag[]>("none", "none", "create", "replace") })
        // The kernel does not look at the flags for ACLs.
        .map(({ path, follow, xattr: [name, value], flag }): Op => {
          return { op: "setxattr", path, follow, name, value, flag: name.startsWith("system.") ? "none" : flag };
        }),
    },
    of(3, "removexattr", { path, follow, name: xattr.map(([name]) => name) }),
    of(2, "getxattr", { path, follow, name: xattr.map(([name]) => name) }),
    of(5, "stat", { path, follow }),
    of(2, "readlink", { path }),
    of(4, "readdir", { path }),
  );
}

function anyCallPath({ privileged }: any.Powers): fc.Arbitrary<string> {
  const tooLong = any.anyPath.map((path) => `/${path}/${"n".repeat(256)}`);
  const odd = fc.oneof(
    any.anyPath.map((path) => `//./${path}`),
    any.anyPath.map((path) => `/${path}/`),
    any.anyPath.map((path) => `/${path}/.`),
    any.anyPath.map((path) => `/${path}/..`),
    fc.tuple(any.anyPath, any.anyPath).map(([a, b]) => `/${a}/../${b}`),
    tooLong,
    ...(privileged ? [fc.constant("/"), any.anyPath.map((path) => `/../${path}`)] : []),
    ...(privileged ? [any.anyPath.map((path) => `/${path}/../../../..`)] : []),
  );
  return fc.oneof({ weight: 12, arbitrary: any.anyPath.map((path) => `/${path}`) }, { weight: 1, arbitrary: odd });
}

const anyFlags: fc.Arbitrary<readonly OpenFlag[]> = fc.constantFrom<(readonly OpenFlag[])[]>(
  ["O_RDONLY"],
  ["O_RDONLY"],
  ["O_RDONLY", "O_NOFOLLOW"],
  ["O_RDWR"],
  ["O_RDWR"],
  ["O_WRONLY"],
  ["O_RDWR", "O_CREAT"],
  ["O_RDWR", "O_CREAT", "O_TRUNC"],
  ["O_WRONLY", "O_CREAT", "O_TRUNC"],
  ["O_RDWR", "O_CREAT", "O_EXCL"],
  ["O_WRONLY", "O_CREAT", "O_APPEND"],
  ["O_RDWR", "O_APPEND"],
  ["O_RDWR", "O_TRUNC"],
  ["O_RDONLY", "O_CREAT"],
  ["O_RDWR", "O_CREAT", "O_NOFOLLOW"],
);

const anyStart = fc.constantFrom(0, 1, 4095, 4096, 5000, 131_071, 131_072, 200_000, 310_000);
const anyOffset = fc.oneof(anyStart, fc.constant(null));
const anyLength = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(0, 1, 10, 4096, 5000) },
  { weight: 1, arbitrary: fc.constant(140_000) },
);
const anyRenameFlag = fc.constantFrom("none" as const, "none" as const, "noreplace" as const, "exchange" as const);

function orKept(id: fc.Arbitrary<number>): fc.Arbitrary<number> {
  return fc.oneof({ weight: 3, arbitrary: id }, { weight: 1, arbitrary: fc.constant(-1) });
}
