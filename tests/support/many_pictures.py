"""An index of very many pictures whose files there are not."""

from __future__ import annotations

import time
from pathlib import Path

from gui import paths
from gui.library.picture_facts import PictureFacts
from gui.library.picture_index import FILE_NAME, PictureIndex

PICTURES = 100_000
DAYS = 900
WORDS = ("fog", "fox", "sailor", "apples", "lake", "boat", "oil", "light", "snow", "dawn")


def folder() -> Path:
    """Where the files would be: not among the folders that are looked through."""
    return paths.data_dir() / "elsewhere"


def prompt_of(number: int) -> str:
    return f"a {WORDS[number % 10]} and a {WORDS[number // 10 % 10]} number {number}"


def fill_index(pictures: int = PICTURES) -> None:
    """Picture 0 is of now, the last one of `DAYS` ago."""
    now = time.time()
    index = PictureIndex(paths.data_dir() / FILE_NAME)
    index.put(
        PictureFacts(
            f"{folder()}/{k:06}.png", now - k * DAYS * 86400 / pictures, 512, 512 + k % 2 * 256,
            prompt_of(k), "", "SD 1.5" if k % 3 else "SDXL", "Euler a", k, 20, 7.5,
            bytes=k, modified_ns=k, fingerprint=str(k),
        )
        for k in range(pictures)
    )  # fmt: skip
    index.close()
