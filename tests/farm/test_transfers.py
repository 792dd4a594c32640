"""Files from one member to another: interrupted, damaged, and such as nobody should be given."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from gui import records
from gui.errors import SfumatoError
from gui.farm import models_copied, transfers, wire
from gui.farm.models_copied import Manifest, ModelFile, Shelf, copy_model
from gui.farm.stock import Stock
from gui.farm.transfers import Transfers


class Pair:
    """Two members, one of which has files; what is sent between them is kept."""

    def __init__(self, find: Any) -> None:
        self.wants: list[wire.Want] = []
        self.broken_after = 10**9
        self.taker = Transfers(self._to_giver, lambda *_: None)
        self.giver = Transfers(self._to_taker, find)

    def _to_giver(self, event: Any) -> None:
        self.wants.append(event)
        if len(self.wants) > self.broken_after:
            self.taker.hung_up()
        else:
            self.giver.wanted(event)

    def _to_taker(self, event: Any) -> None:
        self.taker.arrived(event)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "PIECE", 100)


def test_what_was_interrupted_goes_on_from_there(tmp_path: Path, small_pieces: None) -> None:
    data = bytes(range(250)) * 4
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data)
    wanted = hashlib.sha256(data).hexdigest()

    async def fetch() -> None:
        pair = Pair(lambda *_: source)
        pair.broken_after = 4
        with pytest.raises(SfumatoError, match="connection to the other Mac was lost"):
            await pair.taker.fetch("m", "picture", "x", target, wanted)
        assert not target.exists()
        again = Pair(lambda *_: source)
        await again.taker.fetch("m", "picture", "x", target, wanted)
        assert [want.offset for want in again.wants] == [400, 500, 600, 700, 800, 900]

    asyncio.run(fetch())
    assert target.read_bytes() == data


def test_what_is_damaged_is_thrown_away_whole(tmp_path: Path, small_pieces: None) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"not this")

    async def fetch() -> None:
        pair = Pair(lambda *_: source)
        with pytest.raises(SfumatoError, match="arrived damaged"):
            await pair.taker.fetch("m", "picture", "x", target, "0" * 64)

    asyncio.run(fetch())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


@pytest.mark.parametrize("path", ["../outside", "/etc/outside", "a/../../outside", "a\\b", ""])
def test_a_model_that_names_files_outside_of_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    manifest = records.dumps(Manifest((ModelFile(path, 1, "0" * 64),))).encode()

    async def copy() -> None:
        pair = Pair(lambda *_: manifest)
        with pytest.raises(SfumatoError, match="not the model that was offered"):
            await copy_model(pair.taker, "m", "hash", "A Model", lambda *_: None)

    asyncio.run(copy())
    assert not (tmp_path / "data/Models").exists()


def test_a_model_gives_its_own_files_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    (model / "inner").mkdir(parents=True)
    (model / "inner/file").write_bytes(b"1")
    (tmp_path / "secret").write_bytes(b"2")
    stock = Stock()
    monkeypatch.setattr(stock, "folder", lambda hash_: model if hash_ == "h" else None)
    shelf = Shelf(stock)
    assert shelf.find("h/inner/file") == model / "inner/file"
    told = records.loads(Manifest, shelf.find("h/"))  # type: ignore[arg-type]
    assert [file.path for file in told.files] == ["inner/file"]
    for path in ("h/../secret", "h/inner/../../secret", "other/inner/file", f"h/{tmp_path}/secret"):
        assert shelf.find(path) is None


def test_a_model_that_is_another_one_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.setattr(models_copied, "inspect_model", lambda folder: folder)
    monkeypatch.setattr(models_copied, "model_hash", lambda _info: "another")
    file = ModelFile("weights", 1, hashlib.sha256(b"1").hexdigest())
    given = {"h/": records.dumps(Manifest((file,))).encode(), "h/weights": b"1"}

    async def copy() -> None:
        pair = Pair(lambda _kind, name: given.get(name))
        with pytest.raises(SfumatoError, match="not the model that was offered"):
            await copy_model(pair.taker, "m", "h", "A Model", lambda *_: None)

    asyncio.run(copy())
    assert not (tmp_path / "data/Models").exists()
    assert not list((tmp_path / "data/Farm").rglob("weights"))
