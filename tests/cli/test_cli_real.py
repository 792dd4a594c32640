"""The command line on real packages, through the real engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from gui.library.picture_record import read_record
from gui.request import PictureRequest

if TYPE_CHECKING:
    from tests.support.tiny_models import TinyModel

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    environment = {**os.environ, "SFUMATO_HOME": str(tmp_path)}
    environment.pop("SFUMATO_ENGINE_STANDIN", None)
    return environment


def sfumato(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gui.cli.main", *arguments],
        capture_output=True, text=True, cwd=ROOT, env=environment, timeout=200,
    )  # fmt: skip


def test_generate_is_reproducible_and_says_what_it_did(
    environment: dict[str, str], tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    pixels = []
    for name in ("a.png", "b.png"):
        done = sfumato(
            environment, "generate", "--prompt", "a red apple", "-i", str(tiny_sd1.folder),
            "--seed", "5", "--num-inference-steps", "2", "--scheduler", "EulerDiscrete",
            "-o", str(tmp_path / name),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{tmp_path / name}\n"
        with Image.open(tmp_path / name) as image:
            assert image.size == (64, 64)
            assert "Steps: 2, Sampler: Euler, " in image.info["parameters"]
            pixels.append(image.tobytes())
    assert pixels[0] == pixels[1]
    record = read_record(tmp_path / "a.png")
    assert record is not None
    assert record.request.guidance_scale is not None  # the model's default, filled in
    assert record.model_hash


def test_a_picture_goes_on_from_a_step_of_another(
    environment: dict[str, str], tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    def make(name: str, *arguments: str) -> tuple[bytes, PictureRequest]:
        file = tmp_path / name
        done = sfumato(environment, "generate", "--quiet", "-o", str(file), *arguments)
        assert done.returncode == 0, done.stderr
        record = read_record(file)
        assert record is not None
        with Image.open(file) as image:
            return image.tobytes(), record.request

    settings = ("--seed", "5", "--steps", "5", "--scheduler", "Euler a")
    first, asked = make("a.png", "a red apple", "--model", str(tiny_sd1.folder), *settings)
    branch = ("--branch-from", str(tmp_path / "a.png"), "--at-step", "3")
    other, changed = make("c.png", *branch, "a pear", "--guidance-scale", "3")
    assert other != first
    assert (changed.prompt, changed.guidance_scale) == ("a pear", 3)
    assert (changed.seed, changed.scheduler) == (asked.seed, asked.scheduler)
    assert changed.branch is not None and changed.branch.step == 3
    assert changed.lineage()[0].prompt == "a red apple"
    verified = sfumato(environment, "verify", "--quiet", str(tmp_path / "c.png"))
    assert verified.stdout.strip() == "identical", verified.stderr


def test_inspect_a_good_model(environment: dict[str, str], tiny_sd1: TinyModel) -> None:
    done = sfumato(environment, "inspect", str(tiny_sd1.folder))
    assert done.returncode == 0, done.stderr
    for text in ("64 × 64 pixels", "unet.mlpackage", "safety_checker", "can be used"):
        assert text in done.stdout
    said = json.loads(sfumato(environment, "inspect", str(tiny_sd1.folder), "--json").stdout)
    assert said["usable"] is True and said["family"] == "sd1"
    assert said["components"]["unet"]["inputs"][0]["shape"] == [2, 4, 8, 8]


def test_inspect_and_generate_refuse_a_bad_model(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "broken" / "x_unet.mlpackage").mkdir(parents=True)
    for name in ("broken", "absent"):
        for command in (["inspect"], ["generate", "--quiet", "--prompt", "x", "-i"]):
            done = sfumato(environment, *command, str(tmp_path / name))
            assert done.returncode == 1
            assert done.stderr.startswith("sfumato: ") and "Traceback" not in done.stderr


def test_doctor_knows_folders_versions_and_the_engine(
    environment: dict[str, str], tmp_path: Path
) -> None:
    findings = {f["what"]: f for f in json.loads(sfumato(environment, "doctor", "--json").stdout)}
    import torch

    # the metadata of some builds leave out what comes after the plus sign
    told = findings["torch"]["text"]
    assert told.partition("+")[0] == torch.__version__.partition("+")[0]
    assert findings["engine"]["good"] and "ready in" in findings["engine"]["text"]
    assert findings["pictures"]["text"].startswith(str(tmp_path / "Pictures"))
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = sfumato({**environment, "SFUMATO_HOME": str(blocked)}, "doctor")
    assert done.returncode == 1
    assert "cannot be written" in done.stdout


def test_pictures_are_enlarged_each_on_its_own(environment: dict[str, str], tmp_path: Path) -> None:
    """What a picture says of itself goes along; a file that is none is told, the rest goes on."""
    small, large = tmp_path / "fox.png", tmp_path / "drawn large.png"
    common = ("generate", "a fox", "--seed", "3", "--steps", "3", "--quiet", "--upscale")
    for factor, file in (("off", small), ("4x", large)):
        assert sfumato(environment, *common, factor, "-o", str(file)).returncode == 0
    done = sfumato(environment, "upscale", str(tmp_path / "no.png"), str(small), "--quiet")
    assert done.returncode == 1
    assert done.stderr == "sfumato: “no.png” cannot be opened; choose another picture.\n"
    assert done.stdout == f"{tmp_path / 'fox-4x.png'}\n"
    record = read_record(tmp_path / "fox-4x.png")
    expected = read_record(large)
    assert record is not None and expected is not None
    assert record.request.enlargement == "4" and record.request.upscaler == "Drawings x4"
    assert (record.width, record.height) == (512, 512) == (expected.width, expected.height)
    with Image.open(tmp_path / "fox-4x.png") as one, Image.open(large) as other:
        assert (
            "Postprocess upscale by: 4, Postprocess upscaler: Drawings x4"
            in (one.info["parameters"])
        )
        assert one.tobytes() == other.tobytes()  # as if it had been asked for at once
    listed = sfumato(environment, "upscale", "--list").stdout
    assert "Drawings x4" in listed and "Photographs x4" in listed
