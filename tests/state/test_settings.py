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


def test_two_windows_lose_no_added_folder(home, qapp):
    one, two = Settings(), Settings()
    assert one.model_folders == two.model_folders == []
    one.update(Settings.model_folders, lambda folders: [*folders, "/models/a"])
    two.update(Settings.model_folders, lambda folders: [*folders, "/models/b"])
    one.sync()
    assert one.model_folders == two.model_folders == ["/models/a", "/models/b"]


def test_settings_hold_prompts_and_are_for_nobody_else(home, qapp):
    file = paths.data_dir() / "settings.ini"
    file.parent.mkdir(parents=True)
    file.write_text("[window]\nappearance=dark\n")
    file.chmod(0o644)
    settings = Settings()
    assert settings.appearance == "dark"
    settings.previews = False
    settings.sync()
    assert file.stat().st_mode & 0o777 == 0o600


def test_damaged_settings_are_set_aside_and_said_once(home, qapp):
    file = paths.data_dir() / "settings.ini"
    file.parent.mkdir(parents=True)
    damage = b"[generate\nprevi\x00ews=\xff\xfe" + b"\x80" * 50
    file.write_bytes(damage)
    settings = Settings()
    assert settings.appearance == "system"
    assert "damaged" in settings.notice
    assert [p.read_bytes() for p in file.parent.glob("settings-damaged-*.ini")] == [damage]
    settings.appearance = "dark"
    settings.sync()
    again = Settings()
    assert (again.appearance, again.notice) == ("dark", "")


@pytest.mark.parametrize(
    "raw", ["@Invalid()", "@Variant(\\0\\0)", "\\xd8\\x0", "[" * 100_000, "1e999", '{"a":' * 2000]
)
def test_odd_values_read_as_defaults(home, qapp, raw):
    file = paths.data_dir() / "settings.ini"
    file.parent.mkdir(parents=True)
    lines = [f"[{group}]\n{name}={raw}\n" for group, name in (
        ("models", "folders"), ("session", "draft"), ("layout", "1\\columns"),
        ("generate", "previews"), ("window", "appearance"))]  # fmt: skip
    file.write_text("".join(lines))
    settings = Settings()
    assert settings.model_folders == [] and settings.draft == {}
    assert settings.appearance == "system" and settings.layout("columns") is None


def test_a_settings_folder_that_is_closed_costs_no_start(home, qapp, monkeypatch):
    (home / "data").write_text("a file in the place of the folder")
    settings = Settings()
    settings.previews = False
    settings.sync()
    assert settings.appearance == "system"
