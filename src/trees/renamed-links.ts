import type { Change, LinkGroup } from "../model/change.ts";
import { parentPath, ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import type { Node } from "../model/node.ts";
import type { Tree, TreeStore } from "./tree-store.ts";

/**
 * Which names can be one file's, before and after. A name of a hard-link group can only become a name of the same file: of the
 * group that shares a name with it, or of one of the same bytes that shares its names with none.
 */
export class RenamedLinks {
  readonly #before: ReadonlyMap<TreePath, LinkGroup>;
  readonly #after: ReadonlyMap<TreePath, LinkGroup>;
  /** The group before of each group after, by first names. */
  readonly #pairs = new Map<TreePath, TreePath>();
  #above: { readonly before: LinksAbove; readonly after: LinksAbove } | undefined;

  /**
   * @param sources what is no more where it was
   * @param added in canonical order: whose groups are looked for
   */
  constructor(
    trees: TreeStore,
    before: Tree,
    after: Tree,
    sources: readonly { readonly path: TreePath; readonly node: Node }[],
    added: readonly Change[],
  ) {
    this.#before = trees.linkMap(before);
    this.#after = trees.linkMap(after);
    const gone = new Map<string, TreePath[]>();
    const seen = new Set<LinkGroup>();
    for (const { path, node } of sources) {
      const group = node.linked ? this.#before.get(path) : undefined;
      const content = contentKey(node);
      if (group === undefined || content === undefined || seen.has(group)) continue;
      seen.add(group);
      if (group.some((name) => trees.lookup(after, name) !== undefined)) continue;
      const others = gone.get(content);
      if (others === undefined) gone.set(content, [...group.slice(0, 1)]);
      else others.push(...group.slice(0, 1));
    }
    for (const list of gone.values()) list.reverse();
    this.#pair(trees, before, added, gone);
  }

  /** @param gone first names of the groups that are gone altogether, by content, the last one first */
  #pair(trees: TreeStore, before: Tree, added: readonly Change[], gone: ReadonlyMap<string, TreePath[]>): void {
    const seen = new Set<TreePath>();
    for (const { after, link = [] } of added) {
      const [first] = link;
      const content = after && contentKey(after);
      if (first === undefined || content === undefined || seen.has(first)) continue;
      seen.add(first);
      const survivor = link.find((path) => trees.lookup(before, path) !== undefined);
      const old = survivor === undefined ? gone.get(content)?.pop() : this.#before.get(survivor)?.[0];
      if (old !== undefined) this.#pairs.set(first, old);
    }
  }

  /** Equal for what can be the same file; undefined for what is not looked for. */
  keyBefore(path: TreePath, node: Node): string | undefined {
    return node.linked ? groupKey(node, this.#before.get(path)?.[0]) : contentKey(node);
  }

  keyAfter(path: TreePath, node: Node): string | undefined {
    return node.linked ? groupKey(node, this.#pairs.get(this.#after.get(path)?.[0] ?? ROOT)) : contentKey(node);
  }

  /** True unless a file with names in one of the directories has others outside, or in other places. */
  moveAsOne(from: TreePath, to: TreePath): boolean {
    const { before, after } = (this.#above ??= {
      before: new LinksAbove(this.#before),
      after: new LinksAbove(this.#after),
    });
    const [olds, news] = [before.below(from), after.below(to)];
    if (olds.size !== news.size) return false;
    for (const old of olds) {
      const moved = old.map((path) => (path.startsWith(`${from}/`) ? `${to}${path.slice(from.length)}` : undefined));
      const now = this.#after.get(moved[0] ?? ROOT);
      if (now?.length !== moved.length || now.some((path, i) => path !== moved[i])) return false;
    }
    return true;
  }
}

/** Link groups by all directories that a name of theirs is below. */
class LinksAbove {
  readonly #groups = new Map<TreePath, Set<LinkGroup>>();

  constructor(links: ReadonlyMap<TreePath, LinkGroup>) {
    for (const [path, group] of links)
      for (let at = path; at !== ROOT;) {
        at = parentPath(at);
        const groups = this.#groups.get(at);
        if (groups === undefined) this.#groups.set(at, new Set([group]));
        else if (groups.has(group)) break;
        else groups.add(group);
      }
  }

  below(directory: TreePath): ReadonlySet<LinkGroup> {
    return this.#groups.get(directory) ?? NONE;
  }
}

const NONE: ReadonlySet<LinkGroup> = new Set();

function groupKey(node: Node, first: TreePath | undefined): string | undefined {
  const content = contentKey(node);
  return content === undefined || first === undefined ? undefined : `${content} ${first}`;
}

/** Of files that have bytes. */
function contentKey(node: Node): string | undefined {
  if (node.type !== "file" || node.content.size === 0) return undefined;
  return `${node.content.root ?? "zeros"} ${node.content.size}`;
}
