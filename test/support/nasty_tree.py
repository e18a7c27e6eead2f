#!/usr/bin/env python3
"""Makes a tree of all that a copy gets wrong, for tests of fidelity. Written against the kernel's interface only.

    nasty_tree.py DIR [big] [xfs]      DIR must not exist

big: also a directory of 100 000 files and a sparse file of 5 GiB. xfs: an xattr of 60 000 bytes, and no link target
beyond the 1023 bytes that xfs takes.
"""

import os
import socket
import stat
import struct
import sys

root = os.fsencode(sys.argv[1])
options = sys.argv[2:]
NS = 10**9


def at(*names):
    return os.path.join(root, *names)


def write(path, data=b"", mode=0o644):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
ACCESS = acl((1, 7, NOBODY), (2, 5, 1000), (2, 4, 4_000_000_000), (4, 5, NOBODY), (8, 6, 50), (16, 7, NOBODY), (32, 4, NOBODY))
CAPABILITY_2 = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
CAPABILITY_3 = struct.pack("<IIIIII", 0x03000000, 1 << 13, 1 << 13, 0, 0, 100000)

os.mkdir(root)
for name in (b"names", b"types", b"modes", b"owners", b"times", b"xattrs", b"links", b"links/other", b"holes", b"empty-dir"):
    os.mkdir(at(name))

# names
for name in (b"n" * 255, b"\xff\xfe latin\xe9", b"new\nline", b"-rf", b"--help", b".wh.x", b".wh..wh..opq", b" ", b"\\", b"\x01\x7f", "ünïcode".encode(), b"a", b"a.b", b"a!"):
    write(at(b"names", name), name)
os.mkdir(at(b"names", b"d" * 255))
write(at(b"names", b"d" * 255, b"x" * 255), b"deep name")

# types
write(at(b"types", b"empty"))
write(at(b"types", b"one"), b"1")
write(at(b"types", b"block"), os.urandom(128 * 1024))
write(at(b"types", b"block-and-one"), os.urandom(128 * 1024 + 1))
write(at(b"types", b"pages"), os.urandom(300 * 4096))
os.mkfifo(at(b"types", b"fifo"), 0o620)
os.mknod(at(b"types", b"char"), 0o600 | stat.S_IFCHR, os.makedev(1, 3))
os.mknod(at(b"types", b"block-device"), 0o660 | stat.S_IFBLK, os.makedev(259, 70000))
# A whiteout in an overlay's eyes; here a device like another.
os.mknod(at(b"types", b"char-zero"), 0o600 | stat.S_IFCHR, os.makedev(0, 0))
with socket.socket(socket.AF_UNIX) as s:
    here = os.open(".", os.O_RDONLY)
    os.chdir(at(b"types"))
    s.bind("socket")
    os.fchdir(here)
os.symlink(b"t" * (1023 if "xfs" in options else 4095), at(b"types", b"long-link"))
os.symlink(b"../\xff nowhere\n", at(b"types", b"dangling"))
os.symlink(b"/etc/passwd", at(b"types", b"absolute"))

# modes
for mode in (0o0000, 0o7777, 0o4755, 0o2755, 0o1777, 0o0200):
    write(at(b"modes", b"f%04o" % mode), b"x", mode)
    os.mkdir(at(b"modes", b"d%04o" % mode))
    write(at(b"modes", b"d%04o" % mode, b"inside"), b"y")
    os.chmod(at(b"modes", b"d%04o" % mode), mode)

# owners; set-id bits survive chown only if set after it
for uid, gid in ((4_000_000_000, 4_000_000_001), (65534, 65534), (1, 0)):
    for kind in ("file", "dir", "link"):
        path = at(b"owners", b"%s-%d" % (kind.encode(), uid))
        if kind == "file":
            write(path, b"owned")
        elif kind == "dir":
            os.mkdir(path)
        else:
            os.symlink(b"x", path)
        os.lchown(path, uid, gid)
        if kind != "link":
            os.chmod(path, 0o6755)

# xattrs
write(at(b"xattrs", b"all"), b"x")
for name, value in (
    ("user.empty", b""),
    ("user.binary", bytes(range(256))),
    ("user.newline", b"a\nb=c\0"),
    ("user." + "n" * 240, b"long name"),
    ("trusted.overlay.opaque", b"y"),
    ("trusted.overlay.overlay.redirect", b"/x"),
    ("trusted.secret", b"\0\xff"),
    ("security.capability", CAPABILITY_2),
    ("system.posix_acl_access", ACCESS),
):
    os.setxattr(at(b"xattrs", b"all"), name, value)
write(at(b"xattrs", b"capability3"), b"x", 0o755)
os.setxattr(at(b"xattrs", b"capability3"), "security.capability", CAPABILITY_3)
os.mkdir(at(b"xattrs", b"default-acl"))
os.setxattr(at(b"xattrs", b"default-acl"), "system.posix_acl_default", ACCESS)
os.setxattr(at(b"xattrs", b"default-acl"), "user.on-dir", b"1")
os.symlink(b"x", at(b"xattrs", b"link"))
os.setxattr(at(b"xattrs", b"link"), "trusted.on-link", b"1", follow_symlinks=False)
os.mkfifo(at(b"xattrs", b"fifo"))
os.setxattr(at(b"xattrs", b"fifo"), "trusted.on-fifo", b"1")
os.mknod(at(b"xattrs", b"device"), 0o600 | stat.S_IFCHR, os.makedev(1, 5))
os.setxattr(at(b"xattrs", b"device"), "trusted.on-device", b"1")
os.setxattr(root, "user.on-root", b"1")
os.setxattr(root, "trusted.on-root", b"2")
if "xfs" in options:
    write(at(b"xattrs", b"large"), b"x")
    os.setxattr(at(b"xattrs", b"large"), "user.large", os.urandom(60_000))

# hard links of everything but directories
for kind in (b"file", b"symlink", b"fifo", b"device", b"socket"):
    first = at(b"links", kind + b"-1")
    if kind == b"file":
        write(first, b"linked")
    elif kind == b"symlink":
        os.symlink(b"target", first)
    elif kind == b"fifo":
        os.mkfifo(first)
    elif kind == b"device":
        os.mknod(first, 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    else:
        os.mknod(first, 0o600 | stat.S_IFSOCK)
    for other in (at(b"links", b"other", kind + b"-2"), at(kind + b"-3")):
        os.link(first, other, follow_symlinks=False)

# holes
MIB = 1 << 20
for name, size, data in (
    (b"only", 10 * MIB, ()),
    (b"middle", 10 * MIB, ((0, b"a" * 4096), (9 * MIB, b"b" * MIB))),
    (b"end", 3 * MIB + 5, ((0, b"a" * 100),)),
    (b"start", 2 * MIB, ((2 * MIB - 1, b"z"),)),
    (b"many", 8 * MIB, tuple((i * 65536, b"%d" % i * 10) for i in range(0, 128, 2))),
):
    with open(at(b"holes", name), "wb") as file:
        for offset, piece in data:
            file.seek(offset)
            file.write(piece)
        file.truncate(size)
write(at(b"holes", b"zeros-not-hole"), bytes(3 * MIB))

# depth beyond PATH_MAX
fd = os.open(root, os.O_RDONLY)
for _ in range(40):
    os.mkdir(b"e" * 200, dir_fd=fd)
    inner = os.open(b"e" * 200, os.O_RDONLY, dir_fd=fd)
    os.close(fd)
    fd = inner
bottom = os.open(b"bottom", os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=fd)
os.write(bottom, b"deep")
os.close(bottom)
os.close(fd)

if "big" in options:
    os.mkdir(at(b"many"))
    for i in range(100_000):
        with open(at(b"many", b"file-%d" % i), "wb") as file:
            if i % 10 == 0:
                file.write(b"%d" % i)
    with open(at(b"holes", b"5GiB"), "wb") as file:
        file.write(b"begin")
        file.seek(3 << 30)
        file.write(os.urandom(MIB))
        file.truncate(5 << 30)

# times of everything last: making an entry changes its directory's
times = [
    (b"past", -(2**31) + 1, 1),
    (b"before-epoch", -1, 999_999_999),
    (b"epoch", 0, 0),
    (b"now", 1_700_000_000, 123_456_789),
    (b"after-2038", 2**31 + 5, 987_654_321),
    (b"far", 2**33 + 7, 5),
]
for name, _, _ in times:
    write(at(b"times", name), name)
    os.mkdir(at(b"times", b"dir-" + name))
    os.symlink(name, at(b"times", b"link-" + name))
for name, sec, nsec in times:
    for path in (name, b"dir-" + name, b"link-" + name):
        os.utime(at(b"times", path), ns=(0, sec * NS + nsec), follow_symlinks=False)
os.utime(at(b"empty-dir"), ns=(0, -5 * NS + 3))
os.utime(root, ns=(0, 1_234_567_890 * NS + 42))
os.chmod(root, 0o751)
