"""Files from one member to another: interrupted, damaged, and such as nobody should be given."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from gui import records
from gui.errors import SfumatoError
from gui.farm import models_copied, transfers, wire
from gui.farm.models_copied import Manifest, ModelFile, Shelf, copy_model
from gui.farm.networks_copied import copy_network
from gui.farm.stock import Stock, digest
from gui.farm.transfers import Transfers
from gui.library import loras


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
        with pytest.raises(SfumatoError, match="not what was offered"):
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
        with pytest.raises(SfumatoError, match="not what was offered"):
            await copy_model(pair.taker, "m", "h", "A Model", lambda *_: None)

    asyncio.run(copy())
    assert not (tmp_path / "data/Models").exists()
    assert not list((tmp_path / "data/Farm").rglob("weights"))


def lora(path: Path) -> Path:
    """A LoRA of one layer."""
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    down, up = np.zeros((4, 32), np.float16), np.zeros((32, 4), np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}, path)
    return path


def network_pair(monkeypatch: pytest.MonkeyPatch, top: Path) -> tuple[Pair, str]:
    """Two members, one of which has a network; its hash."""
    stock, wanted = Stock(), digest((top,))
    monkeypatch.setattr(stock, "network", lambda sha256: top if sha256 == wanted else None)
    shelf = Shelf(stock)
    return Pair(lambda _kind, name: shelf.find_network(name)), wanted


def fetch(sha256: str, name: str, kind: str = "lora") -> wire.FetchModel:
    return wire.FetchModel(sha256, name, "m", kind=kind)


def test_a_lora_comes_under_its_name_and_goes_on_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_pieces: None
) -> None:
    monkeypatch.setattr(transfers, "_MODEL_PIECE", 100)
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "here"))
    source = lora(tmp_path / "there/Ink.safetensors")
    size = source.stat().st_size
    told: list[tuple[int, int]] = []

    async def copy() -> Path:
        pair, sha256 = network_pair(monkeypatch, source)
        pair.broken_after = 4
        with pytest.raises(SfumatoError, match="connection to the other Mac was lost"):
            await copy_network(pair.taker, fetch(sha256, "Ink"), lambda *_: None, size)
        assert not list((tmp_path / "here/data/LoRAs").glob("*"))
        pair, sha256 = network_pair(monkeypatch, source)
        made = await copy_network(
            pair.taker, fetch(sha256, "Ink"), lambda *done: told.append(done), size
        )
        assert 0 not in [
            want.offset for want in pair.wants if want.name.endswith("Ink.safetensors")
        ]
        return made

    made = asyncio.run(copy())
    assert made == tmp_path / "here/data/LoRAs/Ink.safetensors"
    assert made.read_bytes() == source.read_bytes()
    assert told[-1] == (size, size)
    assert not list((tmp_path / "here/data/Farm/Copies").iterdir())
    assert [entry.name for entry in loras.entries(tmp_path / "here/data/LoRAs")] == ["Ink"]


def test_a_generic_name_is_kept_in_a_folder_that_says_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "here"))
    source = lora(tmp_path / "there/Ink/pytorch_lora_weights.safetensors")

    async def copy() -> None:
        pair, sha256 = network_pair(monkeypatch, source)
        size = source.stat().st_size
        await copy_network(pair.taker, fetch(sha256, loras.name_of(source)), lambda *_: None, size)

    asyncio.run(copy())
    assert [entry.name for entry in loras.entries(tmp_path / "here/data/LoRAs")] == ["Ink"]


@pytest.mark.parametrize(
    ("content", "name", "kind", "most", "why"),
    [
        (b"#!/bin/sh\nrm -rf /", "Ink.safetensors", "lora", 10**6, "Ink.safetensors"),
        (b"lora", "Ink.command", "lora", 10**6, "not what was offered"),
        (b"lora", "Ink.safetensors", "lora", 10, "not what was offered"),
        (b"lora", "Ink.safetensors", "control", 10**6, "Ink.safetensors"),
        (b"lora", "Ink.safetensors", "no such kind", 10**6, "not what was offered"),
        (b"lora", "Ink.safetensors", "another hash", 10**6, "not what was offered"),
        (b"lora", "Ink.safetensors", "is here", 10**6, "rename one of the two"),
    ],
)
def test_what_is_no_such_network_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    content: bytes, name: str, kind: str, most: int, why: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "here"))
    source = lora(tmp_path / "there" / name)
    if content != b"lora":
        source.write_bytes(content)
    if kind == "is here":
        lora(tmp_path / "here/data/LoRAs" / name)

    async def copy() -> None:
        pair, sha256 = network_pair(monkeypatch, source)
        if kind == "another hash":
            pair.giver._find = lambda _kind, wanted: (
                records.dumps(
                    Manifest((ModelFile(name, source.stat().st_size, transfers.sha256_of(source)),))
                ).encode()
                if wanted.endswith("/")
                else source
            )
            sha256 = "0" * 64
        event = fetch(sha256, "Ink", kind if kind in ("control", "no such kind") else "lora")
        with pytest.raises(SfumatoError) as refused:
            await copy_network(pair.taker, event, lambda *_: None, most)
        assert why in refused.value.message

    asyncio.run(copy())
    kept = [p for p in (tmp_path / "here/data").rglob("*") if p.is_file()]
    assert [p.name for p in kept] == ([name] if kind == "is here" else [])
