import fc from "fast-check";
import { ACCESS, aclHex, DEFAULT } from "./acl.ts";
import type { LayerStep, NodeSpec } from "./layers.ts";
import type { InodeType } from "./model-tree.ts";

export interface Powers {
  /** Of root: owners, devices, set-id bits, trusted attributes, and symlinks that lead upwards. */
  readonly privileged: boolean;
  /** Files of the lower layers may have several names. */
  readonly lowerLinks: boolean;
}

/** Few names, so that calls meet; some that are hard to handle. */
export const anyName: fc.Arbitrary<string> = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom("a", "b", "c") },
  { weight: 3, arbitrary: fc.constant("d") },
  { weight: 1, arbitrary: fc.constantFrom("\xff\xfe", "n".repeat(255), ".wh.a", ".wh..wh..opq", "\xc3\xa4 \n") },
);

/** Without a slash before or after. */
export const anyPath: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: names(1) },
  { weight: 5, arbitrary: names(2) },
  { weight: 4, arbitrary: names(3) },
  { weight: 1, arbitrary: names(4) },
);

function names(count: number): fc.Arbitrary<string> {
  return fc.array(anyName, { minLength: count, maxLength: count }).map((parts) => parts.join("/"));
}

/** A sticky directory that others may write to is left out: there sysctls of fs.protected_* have their say. */
export function anyMode({ privileged }: Powers, least: number): fc.Arbitrary<number> {
  if (!privileged) return fc.constantFrom(0o644, 0o600, 0o755, 0o777, 0o1755).map((mode) => mode | least);
  return fc.constantFrom(0o644, 0o755, 0o700, 0, 0o4755, 0o2755, 0o2745, 0o6711, 0o1755, 0o2775);
}

export function anyId({ privileged }: Powers, mine: number): fc.Arbitrary<number> {
  return privileged ? fc.constantFrom(0, 0, 1000, 4_000_000_000) : fc.constant(mine);
}

export const anyTime: fc.Arbitrary<string> = fc.constantFrom(
  "0",
  "1000000000123456789",
  "-123456789",
  "-1999999999000000001",
  "1500000000999999999",
);

export const anySize: fc.Arbitrary<number> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 1, 10, 4095, 4096, 4097) },
  { weight: 1, arbitrary: fc.constantFrom(131_071, 131_072, 131_073, 300_000) },
);

export const anySeed: fc.Arbitrary<number> = fc.constantFrom(0, 1, 2, 3);

export function anyTarget({ privileged }: Powers): fc.Arbitrary<string> {
  const downward = fc.constantFrom("a", "b", "c", "a/b", "b/a", "c/", "./c", ".", "nowhere", "x".repeat(300));
  if (!privileged) return downward;
  return fc.oneof(downward, fc.constantFrom("..", "../a", "../../b", "/", "/a", "/b/c/", "../c/../a"));
}

export function anyXattr({ privileged }: Powers): fc.Arbitrary<readonly [name: string, hex: string]> {
  const user = fc.tuple(
    fc.constantFrom("user.x", "user.y\xc3\xa4"),
    fc.constantFrom("", "00", "616263", "ff".repeat(200)),
  );
  if (!privileged) return user;
  return fc.oneof(
    { weight: 6, arbitrary: user },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.constantFrom("trusted.z", "trusted.overlay.opaque"), fc.constantFrom("79", "")),
    },
    { weight: 2, arbitrary: fc.constant(["security.capability", CAPABILITY] as const) },
    { weight: 1, arbitrary: fc.constantFrom(...ACLS).map((acl) => [ACCESS, acl] as const) },
    { weight: 1, arbitrary: fc.constantFrom(...ACLS).map((acl) => [DEFAULT, acl] as const) },
  );
}

/** struct vfs_cap_data, version 2: CAP_NET_RAW. */
const CAPABILITY = "010000020020000000000000000000000000000000000000".slice(0, 40);
const ACLS = [aclHex(7, 5, 5, 0, 6), aclHex(6, 4, undefined, 4), aclHex(6, 6, 7, 1, 7)];

/** Layers from the lowest up. */
export function anyLayers(powers: Powers, mine: readonly [uid: number, gid: number]): fc.Arbitrary<LayerStep[][]> {
  const node = anyNode(powers, mine);
  const step: fc.Arbitrary<LayerStep> = fc.oneof(
    { weight: 12, arbitrary: fc.record({ put: anyPath, node }) },
    ...(powers.lowerLinks ? [{ weight: 4, arbitrary: fc.record({ link: anyPath, to: anyPath }) }] : []),
    { weight: 3, arbitrary: fc.record({ whiteout: anyPath }) },
    { weight: 1, arbitrary: fc.record({ opaque: anyPath }) },
  );
  return fc.array(fc.array(step, { maxLength: 14, size: "max" }), { minLength: 1, maxLength: 5, size: "max" });
}

function anyNode(powers: Powers, mine: readonly [uid: number, gid: number]): fc.Arbitrary<NodeSpec> {
  const devices: readonly InodeType[] = powers.privileged ? ["character", "block"] : [];
  const type = fc.oneof(
    { weight: 6, arbitrary: fc.constant<InodeType>("file") },
    { weight: 6, arbitrary: fc.constant<InodeType>("directory") },
    { weight: 3, arbitrary: fc.constant<InodeType>("symlink") },
    { weight: 1, arbitrary: fc.constantFrom<InodeType[]>("fifo", "socket", ...devices) },
  );
  return fc.record({
    type,
    mode: anyMode(powers, 0o700),
    owner: fc.tuple(anyId(powers, mine[0]), anyId(powers, mine[1])),
    mtime: anyTime,
    xattrs: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.uniqueArray(anyXattr(powers), { selector: ([name]) => name, maxLength: 2 }) },
    ),
    size: anySize,
    seed: anySeed,
    sparse: fc.boolean(),
    target: anyTarget(powers),
    rdev: fc.constantFrom("60:5", "61:1048575"),
  });
}
