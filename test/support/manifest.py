#!/usr/bin/env python3
"""Lists a directory tree, one JSON line per entry: what must be equal where two trees are to be equal.

    manifest.py DIR [--no-hash]

It is a reader of its own, written against the kernel's interface only, so that it can prove what others wrote.
Lines come in tree order: DIR itself, then its entries sorted by the bytes of their names, each directory's
entries right after it. Special files are never opened, nothing is followed, and nothing is limited by PATH_MAX.

Fields (byte strings in base64, numbers beyond 2^53 as decimal strings):
    path      below DIR, "" for DIR itself
    type      file dir symlink char block fifo socket
    mode      07777
    uid gid
    mtime_ns
    size      files: bytes
    blocks    files: 512-byte units that are allocated
    sha256    files: over the size and over index and bytes of each 4 KiB page that is not all zero; holes are skipped
    target    symlinks
    rdev      devices: "major:minor"
    xattrs    {name: value}, both as base64
    link      all but directories: the first path, in this order, that is the same inode
"""

import base64
import errno
import hashlib
import json
import os
import stat
import sys

PAGE = 4096
READ = 1 << 20
ZEROS = bytes(READ)

TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def b64(data):
    return base64.b64encode(data).decode("ascii")


def xattrs_of(path, follow):
    """os.*xattr take no dir_fd: `path` leads through /proc/self/fd."""
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    pairs = ((os.fsencode(name), os.getxattr(path, name, follow_symlinks=follow)) for name in names)
    return {b64(name): b64(value) for name, value in sorted(pairs)}


def data_ranges(fd, size):
    """Yields (start, end) of what is not a hole, widened to whole pages."""
    end = 0
    while end < size:
        try:
            data = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            if error.errno != errno.EINVAL:  # a filesystem that knows no holes
                raise
            yield end, size
            return
        # To page borders, wherever the filesystem puts its own: so that no page is cut, or met twice.
        start = max(end, data - data % PAGE)
        hole = os.lseek(fd, data, os.SEEK_HOLE)
        end = min(size, hole + -hole % PAGE)
        yield start, end


def sha256_of(name, parent, size):
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(name, flags | os.O_NOATIME, dir_fd=parent)
    except PermissionError:
        fd = os.open(name, flags, dir_fd=parent)
    try:
        digest = hashlib.sha256(size.to_bytes(8, "big"))
        for start, end in data_ranges(fd, size):
            offset = start
            while offset < end:
                data = os.pread(fd, min(READ, end - offset), offset)
                if not data:
                    raise OSError(errno.EIO, "ends before its size", name)
                # A short read would cut a page in two: read on up to the next page's end.
                while len(data) % PAGE and offset + len(data) < end:
                    more = os.pread(fd, PAGE - len(data) % PAGE, offset + len(data))
                    if not more:
                        raise OSError(errno.EIO, "ends before its size", name)
                    data += more
                if data != ZEROS[: len(data)]:
                    for at in range(0, len(data), PAGE):
                        page = data[at : at + PAGE]
                        if page != ZEROS[: len(page)]:
                            digest.update(((offset + at) // PAGE).to_bytes(8, "big"))
                            digest.update(page)
                offset += len(data)
        return digest.hexdigest()
    finally:
        os.close(fd)


class Manifest:
    def __init__(self, with_hash, out):
        self.with_hash = with_hash
        self.out = out
        self.first_of_inode = {}
        self.hash_of_inode = {}

    def walk(self, directory):
        """Holds one directory open at a time and comes back up through "..": depth costs memory, not descriptors."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        fd = os.open(directory, flags)
        info = os.fstat(fd)
        self.emit(b"", info, xattrs_of(b"/proc/self/fd/%d" % fd, True), {})
        frames = [(b"", (info.st_dev, info.st_ino), self.names(fd))]
        while frames:
            path, _, names = frames[-1]
            name = next(names, None)
            if name is None:
                frames.pop()
                if frames:
                    up = os.open("..", flags, dir_fd=fd)
                    os.close(fd)
                    fd = up
                    above = os.fstat(fd)
                    if (above.st_dev, above.st_ino) != frames[-1][1]:
                        raise OSError(errno.ESTALE, "moved while it was read", path)
                continue
            child = path + b"/" + name if path else name
            info = os.stat(name, dir_fd=fd, follow_symlinks=False)
            self.entry(child, name, fd, info)
            if stat.S_ISDIR(info.st_mode):
                down = os.open(name, flags | os.O_NOFOLLOW, dir_fd=fd)
                os.close(fd)
                fd = down
                frames.append((child, (info.st_dev, info.st_ino), self.names(fd)))
        os.close(fd)

    @staticmethod
    def names(fd):
        return iter(sorted(os.fsencode(name) for name in os.listdir(fd)))

    def entry(self, path, name, parent, info):
        kind = stat.S_IFMT(info.st_mode)
        more = {}
        if kind != stat.S_IFDIR:
            inode = (info.st_dev, info.st_ino)
            first = self.first_of_inode.setdefault(inode, path) if info.st_nlink > 1 else path
            more["link"] = b64(first)
        if kind == stat.S_IFREG:
            more["size"] = info.st_size
            more["blocks"] = info.st_blocks
            if self.with_hash:
                known = self.hash_of_inode.get(inode) if info.st_nlink > 1 else None
                more["sha256"] = known or sha256_of(name, parent, info.st_size)
                if info.st_nlink > 1:
                    self.hash_of_inode[inode] = more["sha256"]
        elif kind == stat.S_IFLNK:
            more["target"] = b64(os.readlink(name, dir_fd=parent))
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            more["rdev"] = "%d:%d" % (os.major(info.st_rdev), os.minor(info.st_rdev))
        self.emit(path, info, xattrs_of(b"/proc/self/fd/%d/%s" % (parent, name), False), more)

    def emit(self, path, info, xattrs, more):
        line = {
            "path": b64(path),
            "type": TYPES[stat.S_IFMT(info.st_mode)],
            "mode": stat.S_IMODE(info.st_mode),
            "uid": info.st_uid,
            "gid": info.st_gid,
            "mtime_ns": str(info.st_mtime_ns),
            "xattrs": xattrs,
            **more,
        }
        self.out.write(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n")


def main(arguments):
    options = [argument for argument in arguments if argument.startswith("--")]
    directories = [argument for argument in arguments if not argument.startswith("--")]
    if len(directories) != 1 or any(option != "--no-hash" for option in options):
        sys.exit("usage: manifest.py DIR [--no-hash]")
    Manifest("--no-hash" not in options, sys.stdout).walk(os.fsencode(directories[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
