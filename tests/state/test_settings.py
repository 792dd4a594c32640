"""Settings and drafts keep what they are given, and survive what they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QByteArray

from gui import paths, records
from gui.request import ComputeUnit, PictureRequest, RandomSource, StartImage
from gui.state.draft import Draft, DraftState, random_seed
from gui.state.settings import Settings
from gui.state.undo import UndoStack
from gui.syntax.types import PromptSyntax


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


DRAFT = Draft(
    PictureRequest(
        "a", "", "b", 12, 3.5, "Euler", 99, 4, RandomSource.TORCH, ComputeUnit.CPU_ONLY,
        StartImage("/x.png", 0.25), False,
    ),
    seed_locked=True,
)  # fmt: skip


def test_a_draft_comes_back_from_json():
    assert Draft.from_json(json.loads(records.dumps(DRAFT))) == DRAFT


def test_a_draft_of_an_earlier_version_is_read():
    """It was one flat object, as in this file of version 0.9; its words are weighed as new ones."""
    file = Path(__file__).parents[1] / "records" / "written_before" / "draft.json"
    draft = Draft.from_json(json.loads(file.read_text()))
    request = replace(DRAFT.request, prompt="a fox", negative_prompt="blurry")
    assert draft == replace(DRAFT, request=replace(request, prompt_syntax=PromptSyntax.WEB_UI))


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
        {"start_image": {"strength": 2, "path": "/x.png"}},
        {"start_image": 5},
        {"prompt": None},
        {"scheduler": 5},
        {"unknown": 1},
    ],
)
def test_a_bad_saved_value_falls_back_and_the_rest_stays(bad):
    draft = Draft.from_json({"request": {"negative_prompt": "kept", **bad}, "seed_locked": "yes"})
    assert draft.request.negative_prompt == "kept"
    assert draft.request_for("").seed == draft.request.seed
    assert not draft.seed_locked
    for name in bad:
        if hasattr(Draft().request, name) and name != "start_image":
            assert getattr(draft.request, name) == getattr(Draft().request, name)
    assert draft.value("start_image.strength") == 0.6


@pytest.mark.parametrize("data", [None, 5, [], {"request": 5}, {"request": []}, {}])
def test_what_is_no_draft_is_an_empty_one(data):
    assert Draft.from_json(data) == Draft()


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
    assert Draft.from_request(request).request_for("/m") == request


def test_the_state_tells_which_field_changed(qapp):
    state = DraftState(UndoStack())
    seen: list[str] = []
    state.changed.connect(seen.append)
    state.set("steps", 9)
    state.set("steps", 9)
    state.set("start_image.strength", 0.5)
    state.set("seed", 7)
    assert seen == ["steps", "start_image.strength", "seed"]
    assert (state.value("steps"), state.value("start_image.strength")) == (9, 0.5)
    assert state.value("seed") == 7 and state.draft.seed_locked
    state.set("seed", None)
    assert state.value("seed") is None
    assert state.draft.request.seed == 7, "the last one can be kept again"
    assert state.draft.request_for("").start_image is None


def test_a_replaced_draft_comes_back_by_undo(qapp):
    undo = UndoStack()
    state = DraftState(undo)
    state.put(DRAFT)
    assert undo.undo_text == ""
    state.replace(DRAFT, "Use Settings")
    assert undo.undo_text == "", "nothing was changed"
    state.replace(DRAFT.without_choices(), "Reset")
    assert [state.value(n) for n in ("steps", "guidance_scale", "scheduler")] == [None] * 3
    assert state.value("start_image.path") == "/x.png"
    undo.undo()
    assert state.draft == DRAFT
    undo.redo()
    assert state.draft == DRAFT.without_choices()


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
