import type { Inode } from "./model-tree.ts";
import type { Model } from "./model.ts";
import type { Op, Outcome } from "./operations.ts";

/** Calls that no system gets, and why. */
export const NOT_COMPARED: readonly { readonly why: string; readonly when: (op: Op, model: Model) => boolean }[] = [
  {
    why: "opening a fifo blocks until somebody opens its other end",
    when: (op, model) => pathsOpened(op).some((path) => model.find(path, true)?.type === "fifo"),
  },
  {
    why: "fs.copyFile of a directory fails halfway, when libuv has made or emptied the target, which it then removes",
    when: (op, model) => op.op === "copyFile" && model.find(op.path, true)?.type === "directory",
  },
  {
    why: "node:fs does not look at the handle where there is nothing to write",
    when: (op) => op.op === "write" && op.length === 0,
  },
  {
    why: "to remove an ACL that is not there is ENODATA for overlayfs and no failure for ext4",
    when: (op, model) =>
      op.op === "removexattr" &&
      op.name.startsWith("system.posix_acl_") &&
      model.find(op.path, op.follow)?.xattrs.has(op.name) === false,
  },
];

function pathsOpened(op: Op): string[] {
  if (op.op === "copyFile") return [op.path, op.to];
  return op.op === "open" || op.op === "readFile" || op.op === "writeFile" || op.op === "truncate" ? [op.path] : [];
}

/** Calls that no system gets where the kernel's overlay takes part, and why. */
export const NOT_FOR_THE_KERNEL: readonly {
  readonly why: string;
  readonly when: (op: Op, model: Model) => boolean;
}[] = [
  {
    why: "ext4 stamps a directory's mtime where a rename with RENAME_WHITEOUT, as of what covers a lower name, is ENOTEMPTY",
    when: (op, model) =>
      op.op === "rename" &&
      model.find(op.path, false)?.type === "directory" &&
      (model.find(op.to, false)?.entries.size ?? 0) > 0,
  },
];

/** What overlayfs refuses and Linux does elsewhere, and why. What it refused, the other systems do not get. */
export const KERNEL_REFUSALS: readonly {
  readonly why: string;
  readonly when: (op: Op, outcome: Outcome, model: Model) => boolean;
}[] = [
  {
    why: "a directory of a lower layer moves only with redirect_dir=on, and then only if the path fits into an attribute",
    when: (op, outcome, model) =>
      op.op === "rename" &&
      outcome === "EXDEV" &&
      [op.path, op.to].some((path) => isLowerDirectory(model.find(path, false))),
  },
  {
    why: "a file of a lower layer that is open, but has no name any more, cannot be copied up where its old name's place is taken, or its directory gone",
    when: (op, outcome, model) => {
      const inode = "slot" in op ? model.opened(op.slot) : undefined;
      const isOrphan = op.op !== "open" && inode?.lower.exists === true && inode.nlink === 0;
      return isOrphan && (outcome === "EEXIST" || outcome === "ENOENT");
    },
  },
];

function isLowerDirectory(inode: Inode | undefined): boolean {
  return inode?.type === "directory" && inode.lower.exists;
}

/** Fields that the kernel's overlay shows otherwise. */
export const KERNEL_FIELDS: readonly {
  readonly why: string;
  readonly when: (field: string, inode: Inode) => boolean;
}[] = [
  {
    why: "the number of links of a lower file counts names that layers above it hide",
    when: (field, inode) => field === "nlink" && inode.lower.hiddenNames > 0,
  },
  {
    why: "an open handle on a removed file of a lower layer tells the links that it still has there",
    when: (field, inode) => field === "nlink" && inode.lower.exists && inode.nlink === 0,
  },
];
