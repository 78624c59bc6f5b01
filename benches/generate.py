#!/usr/bin/env python3
"""Writes a `git fast-import` stream of a large, seeded history: the same numbers give the same objects.

usage: generate.py [COMMITS] [SEED] | git -C REPO.git fast-import --quiet
80,000 commits (the default) make about 480,000 objects: each commit changes two files in a tree of 2,000.
"""
import random
import sys

commits = int(sys.argv[1]) if len(sys.argv) > 1 else 80_000
rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
out = sys.stdout.buffer
words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(4000)]
files = {}


def path(i):
    return b"d%02d/s%02d/f%03d.txt" % (i % 20, i // 20 % 10, i)


def line():
    return b" ".join(rng.choices(words, k=rng.randint(3, 12)))


for n in range(1, commits + 1):
    message = line()
    out.write(b"commit refs/heads/main\nmark :%d\ncommitter Dev <dev@example.com> %d +0000\n" % (n, 1_000_000_000 + n * 600))
    out.write(b"data %d\n%s\n" % (len(message), message))
    # Now and then a side branch of one commit is merged.
    for i in rng.sample(range(2000), 2):
        lines = files.setdefault(i, [line() for _ in range(rng.randint(5, 120))])
        lines[rng.randrange(len(lines))] = line()
        if rng.random() < 0.2:
            lines.insert(rng.randrange(len(lines)), line())
        data = b"\n".join(lines) + b"\n"
        out.write(b"M 100644 inline %s\ndata %d\n" % (path(i), len(data)))
        out.write(data)
    out.write(b"\n")
    if n % 1000 == 0:
        out.write(b"tag v%d\nfrom :%d\ntagger Dev <dev@example.com> %d +0000\ndata 2\nv\n\n" % (n // 1000, n, 1_000_000_000 + n * 600))
