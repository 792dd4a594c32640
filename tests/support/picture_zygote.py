"""Work on pictures in processes that can be killed, and started again in milliseconds.

A process without threads imports everything once.  A line ``{"mode": …, "seed": …, "log": …}`` on
its stdin forks a child, whose id it prints; the child works until it is killed and writes to its
log what it is about to do and what it has done.  A line with a child's id waits for its end.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from random import Random
from typing import Any

Say = Callable[..., None]


def saving(random: Random, say: Say) -> None:
    from gui.library.pictures import save_picture
    from gui.request import PictureRecord, PictureRequest

    while True:
        side = random.choice((16, 64, 256))
        pixels = np.frombuffer(random.randbytes(side * side * 3), np.uint8).reshape(side, side, 3)
        request = PictureRequest(f"fox {random.random()}", "", seed=random.randrange(10**6))
        say("saved", str(save_picture(pixels, PictureRecord(request, side, side, "Tiny"), request)))


def indexing(random: Random, say: Say) -> None:
    index = PictureIndex(paths.data_dir() / FILE_NAME)
    say("opened", index.rebuilt)
    while True:
        for report in picture_scan.scan_steps(index, [paths.pictures_dir()]):
            say("step", report.read)
        files = [row.path for row in index.rows(index.find().ids)]
        index.drop(random.sample(files, len(files) // 2))  # to be found again


def thumbnailing(random: Random, say: Say) -> None:
    files = sorted(paths.pictures_dir().rglob("*.png"))
    while True:
        file = random.choice(files)
        thumbnails.make_from_file(file, thumbnails.name_of(str(file), 1, 1))
        say("made", str(file))


def trashing(random: Random, say: Say) -> None:
    files = sorted(map(str, paths.pictures_dir().rglob("*.png")))
    while True:
        some = [
            (path, desktop.move_to_trash(path)) for path in random.sample(files, len(files) // 2)
        ]
        say("trashed", len(some))
        for path, trashed in some:
            if trashed:
                desktop.put_back(trashed, path)
        say("back", len(some))


def marking(random: Random, say: Say) -> None:
    """Favourites and tags; each copy has tags of its own, on pictures that others mark as well."""
    index = PictureIndex(paths.data_dir() / FILE_NAME)
    count = 0
    while True:
        (row,) = index.rows([random.choice(index.find().ids)]) or [None]
        if row is None:
            continue  # another copy has forgotten it just now
        number, picture = row.id, row.facts.fingerprint
        if random.random() < 0.3:
            on = random.random() < 0.6
            say("will", picture, "favourite", on)
            if index.marks.set_favourite([number], on) or row.favourite == on:
                say("did", picture, "favourite", on)
        else:
            count += 1
            tag = f"{os.getpid()}-{count}"
            say("will", picture, "tag", tag)
            if index.marks.tag([number], [tag], []):
                say("did", picture, "tag", tag)


MODES: dict[str, Callable[[Random, Say], None]] = {
    "saving": saving,
    "indexing": indexing,
    "thumbnailing": thumbnailing,
    "trashing": trashing,
    "marking": marking,
}


def work(task: dict[str, Any]) -> None:
    log = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    parent = os.getppid()

    def say(*words: object) -> None:
        if os.getppid() != parent:
            os._exit(0)  # a test that was given up leaves nobody to kill it
        os.write(log, (json.dumps(words) + "\n").encode())

    try:
        MODES[task["mode"]](Random(task["seed"]), say)
    except BaseException as error:
        say("failed", repr(error), getattr(error, "detail", ""))
        raise


def main() -> None:
    picture_scan.BATCH = 3
    for line in sys.stdin:
        task = json.loads(line)
        if isinstance(task, int):
            os.waitpid(task, 0)
            print("gone", flush=True)
            continue
        child = os.fork()
        if not child:
            try:
                work(task)
            finally:
                os._exit(3)
        print(child, flush=True)


if __name__ == "__main__":
    import numpy as np

    from gui import paths
    from gui.library import picture_scan, thumbnails
    from gui.library.picture_index import FILE_NAME, PictureIndex
    from gui.state import desktop

    main()
