/** Ids from `container` on are ids from `host` on, outside: `count` of them. */
export interface IdRange {
  readonly container: number;
  readonly host: number;
  readonly count: number;
}

/** How a user namespace maps ids: user_namespaces(7). What is in no range has no id outside. */
export interface IdMap {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}
