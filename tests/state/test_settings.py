"""Settings and drafts keep what they are given, and survive what they are not."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QByteArray

from gui import paths
from gui.request import PictureRequest, RandomSource, StartImage
from gui.state.draft import Draft, random_seed
from gui.state.settings import Settings


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    return tmp_path


def test_values_of_every_kind_come_back_from_the_file(home, qapp):
    one = Settings()
    one.appearance = "dark"
    one.previews = False
    one.model_folders = ["/models/a, b", "/models/ü"]
    one.draft = {"prompt": 'two\nlines; and "quotes"', "steps": None}
    one.save_layout("columns", QByteArray(b"\x00\xff\x01"))
    one.sync()
    assert paths.data_dir() / "settings.ini" in (home / "data").iterdir()
    two = Settings()
    assert two.appearance == "dark"
    assert two.previews is False
    assert two.model_folders == ["/models/a, b", "/models/ü"]
    assert two.draft == {"prompt": 'two\nlines; and "quotes"', "steps": None}
    assert two.layout("columns") == QByteArray(b"\x00\xff\x01")


def test_changed_fires_only_for_a_real_change(home, qapp):
    settings = Settings()
    seen = []
    settings.changed.connect(seen.append)
    settings.previews = True
    settings.previews = False
    settings.previews = False
    assert seen == ["generate/previews"]


def test_an_unknown_value_reads_as_the_default(home, qapp):
    settings = Settings()
    settings.store.setValue("window/appearance", "sepia")
    settings.store.setValue("models/folders", "[broken")
    settings.store.setValue("session/draft", "[1, 2]")
    assert settings.appearance == "system"
    assert settings.model_folders == []
    assert settings.draft == {}


def test_a_draft_comes_back_from_json():
    draft = Draft(
        "a", "b", 12, 3.5, "Euler", 99, True, 4, 0.25, "/x.png", "torch", "CPU_ONLY", False
    )
    assert Draft.from_json(draft.to_json()) == draft


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0},
        {"steps": "many"},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": 1.5},
        {"guidance_scale": float("nan")},
        {"count": 0},
        {"compute_unit": "QUANTUM"},
        {"random_source": 3},
        {"strength": 2, "start_image": "/x.png"},
        {"prompt": None},
        {"seed_locked": "yes"},
        {"scheduler": 5},
        {"unknown": 1},
    ],
)
def test_a_bad_saved_value_falls_back_and_the_rest_stays(bad):
    draft = Draft.from_json({"negative_prompt": "kept", **bad})
    assert draft.negative_prompt == "kept"
    assert draft.request("").seed == draft.seed
    for name in bad:
        if hasattr(Draft, name) and name not in ("start_image",):
            assert getattr(draft, name) == getattr(Draft(), name)


def test_a_request_and_its_draft_mean_the_same():
    request = PictureRequest(
        prompt="p",
        model="/m",
        negative_prompt="n",
        steps=9,
        guidance_scale=2.0,
        scheduler="DDIM",
        seed=5,
        random_source=RandomSource.NVIDIA,
        start_image=StartImage("/s.png", 0.3),
        safety_checker=False,
    )
    assert Draft.from_request(request).request("/m") == request


def test_random_seeds_are_in_range_and_differ():
    seeds = {random_seed() for _ in range(50)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**32 for seed in seeds)
