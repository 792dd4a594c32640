"""Whole conversions: what they leave, how they go on after a crash, what they refuse."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gui.convert import job
from gui.convert.client import JOURNAL, partial_folder, unfinished
from gui.convert.job import run
from gui.convert.types import (
    ConvertRequest,
    ImageSize,
    Progress,
    Step,
)
from gui.coreml import sidecar
from gui.coreml.inspect import inspect_model
from gui.coreml.model import Attention, ComponentKind, Family
from gui.errors import Cancelled, ErrorKind, SfumatoError
from tests.support.converted import Converted, everything, request
from tests.support.tiny_checkpoints import kept_folder

K = ComponentKind
QUICK = (K.TEXT_ENCODER, K.SAFETY_CHECKER)
"""Two components that take a second or two each."""


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def source() -> Path:
    return kept_folder("sd1-safety")


@pytest.fixture(scope="module")
def finished() -> Converted:
    return everything()


def weights(folder: Path) -> dict[str, str]:
    """What a model consists of: SHA-256 of its weights and their place."""
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("weight.bin"))
    }


def never() -> bool:
    return False


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_at(component: str, step: Step) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.component == component and progress.step is step:
            raise Killed

    return on_progress


# What a finished model says of itself


def test_the_sidecar_says_how_to_use_the_model(finished: Converted) -> None:
    info = inspect_model(finished.folder)
    assert (info.problems, info.family, info.attention) == (
        (),
        Family.SD1,
        Attention.SPLIT_EINSUM,
    )
    stated = sidecar.read(finished.folder)
    assert stated is not None
    assert (stated.family, stated.prediction_type) == (Family.SD1, "epsilon")
    assert stated.scaling_factor == 0.18215
    assert stated.scheduler_config["_class_name"] == "PNDMScheduler"
    assert stated.scheduler_config["beta_end"] == 0.012
    assert stated.pad_token_ids == (49407,)
    assert (stated.name, stated.source_repo) == ("tiny", "acme/tiny")
    assert stated.extra["conversion"]["attention"] == "split_einsum"
    assert stated.inferred == ()


def test_the_sidecar_has_the_hash_of_every_file(finished: Converted) -> None:
    stated = sidecar.read(finished.folder)
    assert stated is not None
    files = {
        p.relative_to(finished.folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for package in finished.folder.glob("*.mlpackage")
        for p in package.rglob("*")
        if p.is_file()
    }
    assert stated.hashes == files


def test_the_sidecar_holds_no_path_of_this_machine(finished: Converted) -> None:
    text = (finished.folder / sidecar.FILE_NAME).read_text(encoding="utf-8")
    assert str(finished.folder.parent.parent) not in text
    assert finished.report.request.source not in text


def test_the_report(finished: Converted) -> None:
    report = finished.report
    assert len(report.parities) == 7
    assert report.seconds > 0
    assert report.peak_memory_bytes > 100e6
    assert report.versions["coremltools"]
    on_disk = sum(p.stat().st_size for p in finished.folder.rglob("*") if p.is_file())
    shared = len({p.stat().st_ino for p in finished.folder.rglob("weight.bin")})
    assert shared == 6  # both UNets have the same weights, stored once
    assert report.disk_bytes < on_disk


# Several sizes


def test_sizes_share_what_is_equal(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    sizes = (ImageSize(64, 64), ImageSize(128, 64))
    asked = request(
        source, output, sizes=sizes, components=(K.TEXT_ENCODER, K.VAE_DECODER), check=False
    )
    report = run(asked, lambda _: None, never)
    folders = [output / "64x64", output / "128x64"]
    assert [Path(f) for f in report.folders] == folders
    for pattern in ("*_text_encoder.mlpackage/**/*", "*_vae_decoder.mlpackage/**/weight.bin"):
        first, second = (sorted(p for p in f.glob(pattern) if p.is_file()) for f in folders)
        assert first
        for a, b in zip(first, second, strict=True):
            assert a.samefile(b)
    spans = [inspect_model(f).components[K.VAE_DECODER].inputs[0].shape for f in folders]
    assert spans == [(1, 4, 8, 8), (1, 4, 8, 16)]
    for folder in folders:
        stated = sidecar.read(folder)
        assert stated is not None
        assert len(stated.hashes) == 6
        for name, digest in stated.hashes.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


# Crash and resume


def test_a_crash_costs_the_unfinished_component_only(
    source: Path, tmp_path: Path, finished: Converted
) -> None:
    asked = request(source, tmp_path / "model", components=QUICK)
    with pytest.raises(Killed):
        run(asked, killed_at("Safety checker", Step.CONVERTING), never)
    assert not Path(asked.output).exists()
    (waiting,) = unfinished(tmp_path)
    assert waiting.request == asked
    events: list[Progress] = []
    run(asked, events.append, never)
    resumed = [e.component for e in events if e.resumed]
    assert resumed == ["Text encoder"]
    assert {e.component for e in events if e.step is Step.CONVERTING} == {"Safety checker"}
    assert not partial_folder(asked.output).exists()
    made = weights(Path(asked.output))
    assert len(made) == 2
    assert made.items() <= weights(finished.folder).items()


def test_a_damaged_leftover_is_made_again(source: Path, tmp_path: Path) -> None:
    asked = request(source, tmp_path / "model", components=QUICK, check=False)
    with pytest.raises(Killed):
        run(asked, killed_at("Safety checker", Step.READING), never)
    (blob,) = (partial_folder(asked.output) / "model").rglob("weight.bin")
    os.truncate(blob, 1000)
    events: list[Progress] = []
    run(asked, events.append, never)
    assert not [e for e in events if e.resumed]
    for path in Path(asked.output).rglob("weight.bin"):
        assert path.stat().st_size > 1000


_CHILD = """
import json, sys
from gui.convert.job import run
from gui.convert.types import ConvertRequest
run(ConvertRequest.from_json(json.loads(sys.argv[1])), lambda p: None, lambda: False)
"""


def test_killed_at_any_moment_it_comes_to_the_same(
    source: Path, tmp_path: Path, finished: Converted
) -> None:
    """SIGKILL to the real process, twice, then to the end."""
    asked = request(source, tmp_path / "model", components=QUICK)
    command = [sys.executable, "-c", _CHILD, json.dumps(asked.to_json())]
    chance = random.Random(8)
    for _ in range(2):
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            _wait_for(partial_folder(asked.output) / JOURNAL, child)
            child.wait(chance.uniform(0.0, 4.0))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
        if Path(asked.output).exists():
            break
    else:
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert inspect_model(Path(asked.output)).components.keys() == set(QUICK)
    made = weights(Path(asked.output))
    assert len(made) == 2
    assert made.items() <= weights(finished.folder).items()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("model")] == ["model"]


def _wait_for(path: Path, child: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 60
    while not path.exists() and child.poll() is None and time.monotonic() < limit:
        time.sleep(0.02)


# Cancelling


@pytest.mark.parametrize("step", [Step.READING, Step.CONVERTING, Step.CHECKING])
def test_a_cancel_leaves_nothing(source: Path, tmp_path: Path, step: Step) -> None:
    asked = request(source, tmp_path / "model", components=(K.TEXT_ENCODER,))
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        run(asked, seen.append, lambda: bool(seen) and seen[-1].step is step)
    assert seen[-1].step is step
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "home") == []


def test_a_cancel_is_heard_within_a_long_step(source: Path, tmp_path: Path) -> None:
    """Converting one network is heard of more often than at its beginning and end."""
    asked = request(source, tmp_path / "model", components=(K.TEXT_ENCODER,))
    seen: list[Progress] = []

    def late() -> bool:
        return sum(e.step is Step.CONVERTING for e in seen) > 50

    with pytest.raises(Cancelled):
        run(asked, seen.append, late)
    assert seen[-1].step is Step.CONVERTING


# Progress


def test_progress_never_falls_and_ends_at_one(source: Path, tmp_path: Path) -> None:
    events: list[Progress] = []
    run(request(source, tmp_path / "model", components=QUICK), events.append, never)
    fractions = [e.fraction for e in events]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert {e.total for e in events} == {2}
    assert [e.index for e in events] == sorted(e.index for e in events)
    measured = [e for e in events if e.parity]
    assert [e.index for e in measured] == [1, 2]
    assert all(e.parity and e.parity.psnr > 60 for e in measured)
    assert all(e.message for e in measured)


def test_unchecked_when_asked(source: Path, tmp_path: Path) -> None:
    asked = request(source, tmp_path / "model", components=(K.TEXT_ENCODER,), check=False)
    report = run(asked, lambda _: None, never)
    assert report.parities == ()
    assert "not compared" in report.warnings[0]


# Refusals


def refusal(asked: ConvertRequest) -> SfumatoError:
    with pytest.raises(SfumatoError) as caught:
        run(asked, lambda _: None, never)
    return caught.value


def test_an_existing_folder_is_left_alone(source: Path, tmp_path: Path) -> None:
    kept = tmp_path / "model" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    error = refusal(request(source, tmp_path / "model"))
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "“model”" in error.message
    assert kept.read_text() == "mine"


def test_a_missing_parent_folder(source: Path, tmp_path: Path) -> None:
    error = refusal(request(source, tmp_path / "none" / "model"))
    assert error.kind in (ErrorKind.STORAGE, ErrorKind.BAD_REQUEST)


def test_an_unfinished_run_of_other_settings_is_not_mixed_in(source: Path, tmp_path: Path) -> None:
    asked = request(source, tmp_path / "model", components=QUICK, check=False)
    with pytest.raises(Killed):
        run(asked, killed_at("Text encoder", Step.CONVERTING), never)
    other = request(source, tmp_path / "model", components=QUICK, unet_batch=1, check=False)
    error = refusal(other)
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "other settings" in error.message
    assert unfinished(tmp_path)[0].request == asked


def test_one_conversion_at_a_time(source: Path, tmp_path: Path) -> None:
    """A second process must not work in the first one's folder."""
    from gui.convert.journal import locked

    asked = request(source, tmp_path / "model", components=QUICK)
    work = partial_folder(asked.output)
    work.mkdir()
    with locked(work):
        error = refusal(asked)
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "already" in error.message


def test_a_full_disk_keeps_what_is_finished(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gui.convert.package import component

    save = component.save

    def full(model: Any, path: Path) -> None:
        if "safety" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(model, path)

    monkeypatch.setattr(component, "save", full)
    asked = request(source, tmp_path / "model", components=QUICK, check=False)
    error = refusal(asked)
    assert error.kind is ErrorKind.STORAGE
    assert "disk is full" in error.message
    monkeypatch.setattr(component, "save", save)
    events: list[Progress] = []
    run(asked, events.append, never)
    assert [e.component for e in events if e.resumed] == ["Text encoder"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (MemoryError(), ErrorKind.MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ErrorKind.MEMORY),
        (ValueError("no such op"), ErrorKind.INTERNAL),
    ],
)
def test_what_goes_wrong_inside_is_told_with_the_component(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    kind: ErrorKind,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(job, "make", fail)
    error = refusal(request(source, tmp_path / "model", components=QUICK))
    assert error.kind is kind
    assert "the text encoder" in error.message.lower()
    assert type(failure).__name__ in error.detail


def test_a_person_may_know_better_what_the_unet_predicts(source: Path, tmp_path: Path) -> None:
    asked = request(
        source,
        tmp_path / "model",
        components=(K.TEXT_ENCODER,),
        check=False,
        prediction_type="v_prediction",
    )
    run(asked, lambda _: None, never)
    stated = sidecar.read(tmp_path / "model")
    assert stated is not None
    assert stated.prediction_type == "v_prediction"
    assert stated.scheduler_config["prediction_type"] == "v_prediction"
