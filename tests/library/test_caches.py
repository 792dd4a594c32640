"""What is kept to be quicker: measured, cleared, trimmed by age and room."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gui import paths
from gui.library import caches
from gui.library.caches import CacheKind, CacheSize

DAY = 24 * 3600


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))


def compiled(name: str, days: float, kilobytes: int = 100) -> Path:
    folder = caches.compiled_dir() / f"{name}.mlmodelc"
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "weight.bin").write_bytes(os.urandom(kilobytes * 1000))
    moment = time.time() - days * DAY
    os.utime(folder, (moment, moment))
    return folder


def measured() -> dict[CacheKind, CacheSize]:
    return {told.kind: told for told in caches.sizes()}


def test_sizes_and_clearing() -> None:
    assert all(told.bytes == told.number == 0 for told in caches.sizes())
    compiled("one", 1)
    compiled("two", 1)
    variant = paths.variants_dir() / "group" / "variant" / "model"
    variant.mkdir(parents=True)
    (variant / "weight.bin").write_bytes(bytes(50_000))
    stranger = paths.cache_dir() / "Thumbnails"
    stranger.mkdir()
    found = measured()
    assert found[CacheKind.COMPILED].number == 2
    assert 200_000 <= found[CacheKind.COMPILED].bytes < 260_000
    assert found[CacheKind.VARIANTS].number == 1
    caches.clear(CacheKind.COMPILED)
    found = measured()
    assert found[CacheKind.COMPILED].number == 0 and found[CacheKind.VARIANTS].number == 1
    caches.clear(CacheKind.VARIANTS)
    caches.clear(CacheKind.STEPS)
    assert not variant.exists() and stranger.exists()


def test_what_was_not_used_for_long_goes() -> None:
    old, young = compiled("old", 91), compiled("young", 2)
    assert caches.trim() == 1
    assert not old.exists() and young.exists()


def test_the_one_used_longest_ago_goes_first() -> None:
    kept = [compiled(f"m{days}", days) for days in (3, 9, 30)]
    assert caches.trim(limit=250_000) == 1
    assert [path.exists() for path in kept] == [True, True, False]


def test_what_may_be_open_stays() -> None:
    now = compiled("now", 0)
    assert caches.trim(limit=0) == 0 and now.exists()


def test_a_folder_that_is_a_file() -> None:
    paths.cache_dir().mkdir(parents=True)
    caches.compiled_dir().write_text("in the way")
    assert caches.trim() == 0
    caches.clear(CacheKind.COMPILED)
    assert measured()[CacheKind.COMPILED].number == 0
