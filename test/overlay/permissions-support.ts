import fc from "fast-check";
import { encodeAcl, type Acl, type AclEntry } from "../../src/format/acl.ts";
import type { Caller } from "../../src/overlay/credentials.ts";

/** Few, so that callers, owners and ACLs meet. */
export const uids: fc.Arbitrary<number> = fc.constantFrom(0, 1001, 1001, 1002, 1003);
export const gids: fc.Arbitrary<number> = fc.constantFrom(0, 101, 102, 103);
export const modes: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0o7777 });

const users = fc.record({
  uid: fc.constantFrom(1001, 1001, 1002),
  gid: gids,
  groups: fc.subarray([0, 101, 102, 103], { maxLength: 2 }),
});
export const callers: fc.Arbitrary<Caller> = fc.oneof(
  { weight: 1, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.record({ uid: fc.constant(0), gid: gids }) },
  { weight: 8, arbitrary: users },
);

const NO_ID = 0xffffffff;
const permissions = fc.integer({ min: 0, max: 7 });
const named = (tag: number, ids: readonly number[]): fc.Arbitrary<AclEntry[]> =>
  fc
    .tuple(fc.subarray([...ids]), permissions)
    .map(([some, bits]) => some.map((id, i) => ({ tag, permissions: (bits + 3 * i) & 7, id })));
const unnamed = (tag: number): fc.Arbitrary<AclEntry> =>
  permissions.map((bits) => ({ tag, permissions: bits, id: NO_ID }));

/** ACLs that can be set, those that only say a mode among them. */
export const completeAcls: fc.Arbitrary<Acl> = fc
  .tuple(
    fc.tuple(unnamed(0x01), unnamed(0x04), unnamed(0x10), unnamed(0x20)),
    named(0x02, [0, 1001, 1002]),
    named(0x08, [101, 102]),
    fc.boolean(),
  )
  .map(([[owner, group, mask, other], namedUsers, namedGroups, masked]) => [
    owner,
    ...namedUsers,
    group,
    ...namedGroups,
    ...(masked || namedUsers.length + namedGroups.length > 0 ? [mask] : []),
    other,
  ]);

const entries: fc.Arbitrary<AclEntry> = fc.record({
  tag: fc.constantFrom(0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0),
  permissions: fc.constantFrom(0, 5, 7, 8),
  id: fc.constantFrom(0, 1001, NO_ID),
});

/** What may be passed as an ACL's value: most can be set, others have a flaw. */
export const aclValues: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 4, arbitrary: completeAcls.map(encodeAcl) },
  { weight: 1, arbitrary: fc.array(entries, { maxLength: 5 }).map(encodeAcl) },
  {
    weight: 1,
    arbitrary: fc.tuple(completeAcls, fc.nat(60), fc.nat(255)).map(([acl, at, byte]) => {
      const value = encodeAcl(acl);
      if (at < value.length) value[at] = byte;
      return value;
    }),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(completeAcls, fc.nat(40)).map(([acl, length]) => encodeAcl(acl).subarray(0, length)),
  },
);

/** Linux reads one of revision 3 for the root user 0 as one of revision 2, so none of those. */
export const capabilityValues: fc.Arbitrary<Uint8Array> = fc
  .constantFrom(
    ...["0100000200000000000000000000000000000000", "0000000200000000000000000000000000000000"],
    ...["0200000200000000000000000000000000000000", "01000002", "00"],
    ...["0100000300000000000000000000000000000000e8030000"],
  )
  .map((hex) => new Uint8Array(Buffer.from(hex, "hex")));
