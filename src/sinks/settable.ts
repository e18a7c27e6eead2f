import { fchmodSync } from "node:fs";
import type { DirectoryHandle } from "../sys/directory-handle.ts";
import { setFdOwner, setFdTimes, setFdXattr } from "../sys/file.ts";
import { statFd } from "../sys/stat.ts";
import type { Stat } from "../sys/stat.ts";

/** One node on disk, however it is reached, whose metadata can be set. All calls throw PosixError or its like of Node. */
export interface Settable {
  setOwner(uid: number, gid: number): void;
  setXattr(key: string, value: Uint8Array): void;
  setMode(mode: number): void;
  setTimes(sec: number, nsec: number): void;
  stat(): Stat;
}

/** Borrows `fd`. */
export function openFile(fd: number): Settable {
  return {
    setOwner: (uid, gid) => setFdOwner(fd, uid, gid),
    setXattr: (key, value) => setFdXattr(fd, key, value),
    setMode: (mode) => fchmodSync(fd, mode),
    setTimes: (sec, nsec) => setFdTimes(fd, sec, nsec),
    stat: () => statFd(fd),
  };
}

/** Borrows `directory`. Without a name it is the directory itself. */
export function nodeIn(directory: DirectoryHandle, name?: string): Settable {
  return {
    setOwner: (uid, gid) => directory.setOwner(name, uid, gid),
    setXattr: (key, value) => directory.setXattr(name, key, value),
    setMode: (mode) => directory.setMode(name, mode),
    setTimes: (sec, nsec) => directory.setTimes(name, sec, nsec),
    stat: () => (name === undefined ? directory.statSelf() : directory.stat(name)),
  };
}
