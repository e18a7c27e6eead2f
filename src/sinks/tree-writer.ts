import { statfsSync } from "node:fs";
import { basename, dirname } from "node:path";
import { errnoOf, StoreError } from "../errors.ts";
import type { FrameReader } from "../format/chunk-value.ts";
import type { LinkGroup } from "../model/change.ts";
import { baseName, byteStringOf, parentPath, ROOT } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import type { DirectoryNode, FileNode, Node, NodeType } from "../model/node.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { PathWalker } from "../sys/path-walker.ts";
import { PAGE_BYTES } from "./data-runs.ts";
import { withPath } from "./failure.ts";
import { FileJobs, LARGE_FILE_BYTES } from "./file-jobs.ts";
import type { FilesDirectory } from "./file-jobs.ts";
import type { FilesAtHand } from "./files-at-hand.ts";
import { MetadataSetter } from "./metadata-setter.ts";
import type { Rules } from "./metadata-setter.ts";
import { nodeIn } from "./settable.ts";
import { Turns } from "./turns.ts";
import type { TurnOptions } from "./turns.ts";
import { LossTally } from "./written.ts";
import type { LossKind, Written } from "./written.ts";

export interface TreeWriterOptions extends TurnOptions {
  readonly files?: FilesAtHand | undefined;
}

/** A directory that waits for its metadata. Known by those above: the paths of a deep tree are far longer than the tree. */
class Open implements FilesDirectory {
  readonly above: Open | undefined;
  readonly name: Name | undefined;
  readonly node: DirectoryNode;
  jobs = 0;
  handle: DirectoryHandle | undefined;
  /** Gives it its metadata, which waits for its files. */
  #complete: ((directory: DirectoryHandle) => void) | undefined;

  constructor(above: Open | undefined, name: Name | undefined, node: DirectoryNode) {
    this.above = above;
    this.name = name;
    this.node = node;
  }

  completeOnceWritten(complete: (directory: DirectoryHandle) => void): void {
    this.#complete = complete;
  }

  onWritten(): void {
    using handle = this.handle;
    this.handle = undefined;
    if (handle !== undefined) this.#complete?.(handle);
  }
}

/**
 * Makes a tree below a new directory, node by node in canonical order, the root first.
 *
 * Directories are made 0700 and get their metadata when the order leads out of them: no entry then moves their times,
 * and no mode stops a user who is not root. Never uses a path, so no depth is too deep.
 *
 * All calls throw StoreError NO_SPACE, and PosixError, by the entry's path, for what is neither that nor a loss.
 */
export class TreeWriter implements AsyncDisposable {
  readonly #root: DirectoryHandle;
  readonly #walker: PathWalker;
  /** Goes where hard links lead to. */
  readonly #linker: PathWalker;
  readonly #rules: Rules;
  readonly #files: FilesAtHand | undefined;
  readonly #jobs: FileJobs;
  readonly #turns: Turns;
  readonly #losses = new LossTally();
  readonly #omitted = new LossTally();
  readonly #metadata: MetadataSetter;
  /** From the root to where the walker is. */
  readonly #open: Open[] = [];
  /** Left, but still 0700, so that hard links to what is in them can be made: children first. */
  readonly #unreadable: Open[] = [];
  /** By the first path of a group, one that is there. */
  readonly #linkSources = new Map<TreePath, TreePath>();
  #whiteout: TreePath | undefined;

  private constructor(
    root: DirectoryHandle,
    target: string,
    content: FrameReader,
    rules: Rules,
    { turns, files }: { readonly turns: Turns; readonly files: FilesAtHand | undefined },
  ) {
    this.#root = root;
    this.#walker = PathWalker.open(root);
    this.#linker = PathWalker.open(root);
    this.#rules = rules;
    this.#files = files;
    this.#turns = turns;
    this.#metadata = new MetadataSetter(target, rules, this.#losses, this.#omitted);
    // Holes may be below `PAGE_BYTES` where the filesystem's are.
    const pageBytes = Math.min(PAGE_BYTES, statfsSync(target).bsize);
    this.#jobs = new FileJobs(content, { target, rules, pageBytes }, this.#losses, this.#omitted);
  }

  /**
   * Makes the directory `target`, whose parent exists. Borrows `content` and `files`.
   *
   * @throws {StoreError} EXISTS, NOT_PERMITTED
   */
  static make(target: string, content: FrameReader, rules: Rules, options: TreeWriterOptions): TreeWriter {
    const turns = new Turns(options);
    const root = makeRoot(target);
    try {
      disinherit(root);
      return new TreeWriter(root, target, content, rules, { turns, files: options.files });
    } catch (error) {
      root.close();
      throw error;
    }
  }

  /** Tallies what was lost of a node before it came here. */
  readonly lose = (kind: LossKind, path: TreePath, detail?: string): void => this.#losses.add(kind, path, detail);

  /**
   * Makes `node`; a regular file is there once `finish` has returned. Its directory has been put, and what came after that is below it.
   *
   * @returns false if it could not be made, which is tallied
   */
  async put(path: TreePath, node: Node, link: LinkGroup | undefined): Promise<boolean> {
    try {
      if (path !== ROOT) this.#standIn(parentPath(path));
      const made =
        node.type === "directory" ? this.#putDirectory(path, node) : await this.#putFile(path, node, link?.[0]);
      if (made && path !== ROOT) this.#turns.entries++;
      if (this.#turns.due) await this.#turns.rest();
      return made;
    } catch (error) {
      throw withPath(error, path);
    }
  }

  /**
   * Hides `path` of the layer below. All whiteouts are names of one inode, as the kernel makes them.
   *
   * @throws {StoreError} NOT_PERMITTED in user namespaces of kernels before 5.8
   */
  async hide(path: TreePath): Promise<void> {
    this.#standIn(parentPath(path));
    this.#turns.entries++;
    try {
      if (this.#whiteout === undefined || !this.#link(this.#whiteout, path)) {
        this.#walker.current.makeNode(baseName(path), "character", 0, 0, 0);
        this.#whiteout = path;
      }
    } catch (error) {
      if (errnoOf(error) === "EPERM")
        throw new StoreError("NOT_PERMITTED", { action: "making whiteouts" }, { cause: error });
      throw withPath(error, path);
    }
    if (this.#turns.due) await this.#turns.rest();
  }

  /** Waits for all files, and completes all directories. */
  async finish(): Promise<Written> {
    while (this.#open.length > 1) this.#leave();
    await this.#jobs.settle();
    for (const open of this.#unreadable) {
      const path = pathOf(open);
      this.#walker.goTo(parentPath(path));
      using directory = this.#walker.current.openDirectory(baseName(path));
      this.#complete(directory, open.node, path);
    }
    const [root] = this.#open;
    if (root === undefined) throw new Error("a tree without a root");
    this.#complete(this.#root, root.node, ROOT);
    const { entries, bytes } = this.#turns;
    return { entries, bytes, losses: this.#losses.list, omitted: this.#omitted.list };
  }

  /** Nothing is written any more once it returns. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#jobs[Symbol.asyncDispose]();
    this.#walker[Symbol.dispose]();
    this.#linker[Symbol.dispose]();
    this.#root.close();
  }

  #standIn(directory: TreePath): void {
    while (this.#walker.path !== directory) {
      if (this.#open.length < 2) throw new Error(`nothing was put at ${directory}`);
      this.#leave();
    }
  }

  #leave(): void {
    const left = this.#open.pop();
    if (left === undefined) throw new Error("left the root");
    if ((left.node.mode & OWNER_READS) !== OWNER_READS) this.#unreadable.push(left);
    else if (left.jobs > 0) left.completeOnceWritten((directory) => this.#complete(directory, left.node, pathOf(left)));
    else this.#complete(this.#walker.current, left.node, this.#walker.path);
    this.#walker.leave();
  }

  #complete(directory: DirectoryHandle, node: DirectoryNode, path: TreePath): void {
    try {
      this.#metadata.set(nodeIn(directory), node, path);
    } catch (error) {
      throw withPath(error, path);
    }
  }

  #putDirectory(path: TreePath, node: DirectoryNode): true {
    const name = path === ROOT ? undefined : baseName(path);
    if (name !== undefined) {
      this.#walker.current.makeDirectory(name, 0o700);
      this.#walker.enter(name);
    }
    this.#open.push(new Open(this.#open.at(-1), name, node));
    return true;
  }

  async #putFile(path: TreePath, node: Exclude<Node, DirectoryNode>, group: TreePath | undefined): Promise<boolean> {
    const source = group === undefined ? undefined : this.#linkSources.get(group);
    if (source !== undefined) {
      // It may be under way.
      await this.#jobs.settle();
      if (this.#link(source, path)) return true;
      this.#losses.add("hardlink", path);
    }
    const made = await this.#make(path, node);
    if (made && group !== undefined) this.#linkSources.set(group, path);
    return made;
  }

  /** @returns false if it is a loss */
  async #make(path: TreePath, node: Exclude<Node, DirectoryNode>): Promise<boolean> {
    if (node.type === "file") {
      await this.#makeFile(path, node);
      return true;
    }
    const directory = this.#walker.current;
    const name = baseName(path);
    const kind = LOSS_OF[node.type];
    if (node.type === "character" && node.major === 0 && node.minor === 0 && this.#rules.overlay !== undefined) {
      this.#losses.add("whiteout", path);
      return false;
    }
    if (kind === "device" && this.#rules.asUser) {
      this.#omitted.add(kind, path);
      return false;
    }
    try {
      if (node.type === "symlink") directory.symlink(node.target, name);
      else if ("major" in node) directory.makeNode(name, node.type, 0o600, node.major, node.minor);
      else directory.makeNode(name, node.type, 0o600, 0, 0);
    } catch (error) {
      if (!NODE_REFUSED.has(errnoOf(error) ?? "")) throw error;
      this.#losses.add(kind, path);
      return false;
    }
    this.#metadata.set(nodeIn(directory, name), node, path);
    return true;
  }

  async #makeFile(path: TreePath, node: FileNode): Promise<void> {
    const directory = this.#walker.current;
    const name = baseName(path);
    const made = this.#files?.make(path, node, directory, name);
    if (made !== undefined) {
      this.#turns.bytes += node.content.size;
      if (made === "content") this.#metadata.set(nodeIn(directory, name), node, path);
      return;
    }
    if (node.content.size > LARGE_FILE_BYTES) {
      await this.#jobs.writeLarge(directory, name, path, node, this.#metadata, async (bytes) => {
        this.#turns.bytes += bytes;
        if (this.#turns.due) await this.#turns.rest();
      });
      return;
    }
    await this.#jobs.add(this.#open.at(-1)!, directory, name, path, node);
    this.#turns.bytes += node.content.size;
  }

  /** @returns false if the filesystem has no hard links, or no more of this one */
  #link(source: TreePath, path: TreePath): boolean {
    this.#linker.goTo(parentPath(source));
    try {
      this.#linker.current.link(baseName(source), this.#walker.current, baseName(path));
      return true;
    } catch (error) {
      if (!LINK_REFUSED.has(errnoOf(error) ?? "")) throw error;
      return false;
    }
  }
}

function pathOf(open: Open): TreePath {
  const names: Name[] = [];
  for (let at: Open | undefined = open; at?.name !== undefined; at = at.above) names.push(at.name);
  return names.reverse().join("/");
}

const OWNER_READS = 0o500;
// ENAMETOOLONG: XFS holds symlinks of up to 1024 bytes. EINVAL: a device number that Linux has not.
const NODE_REFUSED: ReadonlySet<string> = new Set(["EPERM", "ENOTSUP", "ENOSYS", "EINVAL", "ENAMETOOLONG"]);
const LINK_REFUSED: ReadonlySet<string> = new Set(["EMLINK", "EPERM", "ENOTSUP", "EXDEV"]);
const LOSS_OF: Readonly<Record<Exclude<NodeType, "file" | "directory">, LossKind>> = {
  symlink: "symlink",
  character: "device",
  block: "device",
  fifo: "fifo",
  socket: "socket",
};

/** Whoever may write to the parent can put something else in the place of what was just made, such as a symlink. */
function makeRoot(target: string): DirectoryHandle {
  const name = byteStringOf(basename(target));
  try {
    using parent = DirectoryHandle.open(dirname(target));
    parent.makeDirectory(name, 0o700);
    const root = parent.openDirectory(name);
    if (root.statSelf().uid === process.geteuid?.() && root.list().length === 0) return root;
    root.close();
  } catch (error) {
    throw refusedTarget(target, error);
  }
  throw new StoreError("EXISTS", { what: `${target} is not what was made there any more` });
}

/** Takes away what the parent's default ACL and set-group-ID bit gave a new directory, lest all below it get it too. */
function disinherit(root: DirectoryHandle): void {
  for (const { name } of root.xattrs()) if (name.startsWith("system.posix_acl_")) root.removeXattr(undefined, name);
  root.setMode(undefined, 0o700);
}

function refusedTarget(target: string, error: unknown): unknown {
  const code = errnoOf(error) ?? "";
  const cause = { cause: error };
  if (code === "EEXIST" || code === "ELOOP" || code === "ENOTDIR")
    return new StoreError("EXISTS", { what: `${target} exists` }, cause);
  if (["EACCES", "EPERM", "EROFS"].includes(code))
    return new StoreError("NOT_PERMITTED", { action: `making ${target}` }, cause);
  return withPath(error, target);
}
