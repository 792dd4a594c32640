"""Conversions that are disturbed: what is left of them, and what the next run makes of that."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from gui.convert import job
from gui.convert.client import JOURNAL, Unfinished, partial_folder, remove_partial, unfinished
from gui.convert.job import run
from gui.convert.journal import ConversionJournal, locked
from gui.convert.package import component
from gui.convert.types import ConvertRequest, ImageSize, Lora, Progress, Step
from gui.coreml import sidecar
from gui.coreml.model import ComponentKind
from gui.errors import ErrorKind, SfumatoError
from gui.library.models.leftovers import is_read
from tests.support.converted import request
from tests.support.tiny_checkpoints import kept_folder
from tests.support.tiny_loras import save_lora

K = ComponentKind


class Killed(BaseException):
    """Stands for the end of the process."""


def never() -> bool:
    return False


def refusal(asked: ConvertRequest) -> SfumatoError:
    with pytest.raises(SfumatoError) as caught:
        run(asked, lambda _: None, never)
    return caught.value


@pytest.fixture(scope="module")
def source() -> Path:
    return kept_folder("sd1-safety")


def encoder_only(source: Path, folder: Path, **options: Any) -> ConvertRequest:
    """The quickest conversion there is."""
    options = {"components": (K.TEXT_ENCODER,), "check": False, **options}
    return request(source, folder / "model", **options)


def test_nothing_of_an_older_source_stays(source: Path, tmp_path: Path) -> None:
    """Killed at the very end, when every size had its text encoder; then the source changed."""
    own = Path(shutil.copytree(source, tmp_path / "tiny"))
    kinds = (K.TEXT_ENCODER, K.SAFETY_CHECKER)
    sizes = (ImageSize(64, 64), ImageSize(128, 64))
    asked = encoder_only(own, tmp_path, components=kinds, sizes=sizes)
    work = partial_folder(asked.output)

    def killed(progress: Progress) -> None:
        if progress.step is Step.FINISHING:
            (encoder,) = (work / "model" / "64x64").glob("*_text_encoder.mlpackage")
            twin = Path(shutil.copytree(encoder, work / "model" / "128x64" / encoder.name))
            for blob in twin.rglob("weight.bin"):
                blob.write_bytes(b"old")
            shutil.copytree(encoder, encoder.with_name("old_text_encoder.mlpackage"))
            raise Killed

    with pytest.raises(Killed):
        run(asked, killed, never)
    os.utime(own / "text_encoder" / "model.safetensors", (1, 1))
    events: list[Progress] = []
    run(asked, events.append, never)
    assert not [e for e in events if e.resumed]
    for folder in (tmp_path / "model" / "64x64", tmp_path / "model" / "128x64"):
        stated = sidecar.read(folder)
        assert stated is not None
        packages = [p for package in folder.glob("*.mlpackage") for p in package.rglob("*")]
        files = {
            p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in packages
            if p.is_file()
        }
        assert files == stated.hashes
        assert len(list(folder.glob("*.mlpackage"))) == 2


def test_a_source_that_changes_meanwhile_is_not_mixed(source: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(source, tmp_path / "tiny"))
    asked = encoder_only(own, tmp_path, components=(K.TEXT_ENCODER, K.SAFETY_CHECKER))
    begun: list[str] = []

    def touch(progress: Progress) -> None:
        begun.append(progress.component)
        if progress.step is Step.CONVERTING:
            os.utime(own / "text_encoder" / "model.safetensors", (1, 1))

    with pytest.raises(SfumatoError) as caught:
        run(asked, touch, never)
    assert caught.value.kind is ErrorKind.BAD_MODEL
    assert "changed while" in caught.value.message
    assert not Path(asked.output).exists()
    assert "Safety checker" not in begun  # nobody waits for the rest in vain
    assert not partial_folder(asked.output).exists()  # nor is told that parts are kept
    run(asked, lambda _: None, never)
    assert Path(asked.output).is_dir()


def test_a_source_whose_disk_vanishes_meanwhile(source: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(source, tmp_path / "tiny"))
    asked = encoder_only(own, tmp_path, components=(K.TEXT_ENCODER, K.SAFETY_CHECKER))

    def vanish(progress: Progress) -> None:
        if (progress.component, progress.step) == ("Safety checker", Step.READING):
            own.rename(tmp_path / "elsewhere")

    with pytest.raises(SfumatoError) as caught:
        run(asked, vanish, never)
    assert caught.value.kind is ErrorKind.STORAGE
    assert "safety checker are not there any more" in caught.value.message
    assert refusal(asked).kind in (ErrorKind.NOT_FOUND, ErrorKind.STORAGE)
    (tmp_path / "elsewhere").rename(own)
    events: list[Progress] = []
    run(asked, events.append, never)
    assert [e.component for e in events if e.resumed] == ["Text encoder"]


def test_a_failure_leaves_no_scratch_to_fill_the_disk(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(model: Any, path: Path) -> None:
        path.mkdir()
        (path / "half.bin").write_bytes(b"x" * 1000)
        raise OSError(errno.ENOSPC, "No space left on device")

    save = component.save
    asked = encoder_only(source, tmp_path, components=(K.TEXT_ENCODER, K.SAFETY_CHECKER))
    monkeypatch.setattr(component, "save", full)
    assert refusal(asked).kind is ErrorKind.STORAGE
    assert not partial_folder(asked.output).exists()  # nothing was finished, nothing is kept
    monkeypatch.setattr(
        component, "save", lambda m, p: full(m, p) if "safety" in p.name else save(m, p)
    )
    assert refusal(asked).kind is ErrorKind.STORAGE
    work = partial_folder(asked.output)
    assert {p.name for p in work.iterdir()} == {"model", JOURNAL, "lock"}
    assert list(work.rglob("weight.bin"))


def test_temporary_files_do_not_pile_up(source: Path, tmp_path: Path) -> None:
    """coremltools keeps a copy of every package until the process ends."""
    asked = encoder_only(source, tmp_path, components=(K.TEXT_ENCODER, K.SAFETY_CHECKER))
    work = partial_folder(asked.output)
    left: list[list[Path]] = []

    def look(progress: Progress) -> None:
        if (progress.component, progress.step) == ("Safety checker", Step.READING):
            left.append(sorted(work.glob("temporary/*")) + sorted(work.glob("scratch/*")))

    run(asked, look, never)
    assert left and not any(left)


def test_weights_that_coremltools_cannot_write(source: Path, tmp_path: Path) -> None:
    """The system refuses to let the file grow, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        error = refusal(encoder_only(source, tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.kind is ErrorKind.STORAGE
    assert "text encoder could not be written" in error.message
    assert "FileWriter" in error.detail


def test_a_failed_file_system_call_for_want_of_memory_is_no_disk_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(job, "make", fail)
    error = refusal(encoder_only(source, tmp_path))
    assert error.kind is ErrorKind.MEMORY
    assert "the text encoder" in error.message


def test_want_of_memory_while_reading_does_not_blame_the_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gui.convert.checkpoint import weights

    def fail(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(weights, "_read", fail)
    assert refusal(encoder_only(source, tmp_path)).kind is ErrorKind.MEMORY


def test_the_time_of_an_interrupted_run_counts(source: Path, tmp_path: Path) -> None:
    asked = encoder_only(source, tmp_path)

    def killed(progress: Progress) -> None:
        if progress.step is Step.FINISHING:
            raise Killed

    with pytest.raises(Killed):
        run(asked, killed, never)
    work = partial_folder(asked.output)
    with locked(work):
        journal = ConversionJournal.open(work, asked, job._fingerprint(asked))
        (key,) = journal.done
        journal.note(key, dataclasses.replace(journal.done[key], seconds=1234.0))
    report = run(asked, lambda _: None, never)
    assert 1234.0 <= report.seconds < 1300.0


def test_cancelling_spares_an_unfinished_run_of_other_settings(
    source: Path, tmp_path: Path
) -> None:
    asked = encoder_only(source, tmp_path)

    def killed(progress: Progress) -> None:
        if progress.step is Step.FINISHING:
            raise Killed

    with pytest.raises(Killed):
        run(asked, killed, never)
    remove_partial(dataclasses.replace(asked, unet_batch=1))
    assert [each.request for each in unfinished(tmp_path)] == [asked]
    remove_partial(asked)
    assert not partial_folder(asked.output).exists()


def test_a_journal_of_an_older_version_is_gone_on_with(source: Path, tmp_path: Path) -> None:
    """It does not state what there was not to choose yet."""
    asked = encoder_only(source, tmp_path)

    def killed(progress: Progress) -> None:
        if progress.step is Step.FINISHING:
            raise Killed

    with pytest.raises(Killed):
        run(asked, killed, never)
    journal = partial_folder(asked.output) / JOURNAL
    data = json.loads(journal.read_text())
    del data["request"]["prediction_type"], data["request"]["compiled"]
    journal.write_text(json.dumps(data))
    (waiting,) = unfinished(tmp_path)
    events: list[Progress] = []
    run(waiting.request, events.append, never)
    assert [e.component for e in events if e.resumed] == ["Text encoder"]


def test_what_is_under_way_is_not_offered_to_go_on(source: Path, tmp_path: Path) -> None:
    asked = encoder_only(source, tmp_path)
    seen: list[list[Unfinished]] = []

    def look(progress: Progress) -> None:
        if progress.step is Step.CONVERTING and not seen:
            seen.extend((unfinished(tmp_path), unfinished(tmp_path, at_work=True)))

    run(asked, look, never)
    assert [[each.request for each in found] for found in seen] == [[], [asked]]


def test_what_is_finished_is_not_offered_to_go_on(source: Path, tmp_path: Path) -> None:
    """Killed between putting the model in its place and clearing up."""
    asked = encoder_only(source, tmp_path)

    def killed(progress: Progress) -> None:
        if progress.step is Step.FINISHING and progress.fraction == 1.0:
            raise Killed

    with pytest.raises(Killed):
        run(asked, killed, never)
    assert Path(asked.output).is_dir()
    assert unfinished(tmp_path) == []
    assert not partial_folder(asked.output).exists()


def test_what_is_converted_is_held(source: Path, tmp_path: Path) -> None:
    """Source and LoRA cannot be cleared away while a conversion reads them, and can afterwards."""
    (tmp_path / "loras").mkdir()
    path = save_lora("sd1", tmp_path / "loras" / "style.safetensors")
    asked = encoder_only(source, tmp_path, loras=(Lora(str(path)),))
    held = {Step.CONVERTING: False}

    def look(progress: Progress) -> None:
        if progress.step in held:
            held[progress.step] = is_read(source) and is_read(path.parent)

    run(asked, look, never)
    assert held == {Step.CONVERTING: True}
    assert not is_read(source) and not is_read(path.parent)


def test_a_killed_conversion_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from gui.convert.journal import reading\n"
        "with reading([Path(sys.argv[1])]): print('held', flush=True); time.sleep(600)"
    )
    held = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    with held:
        assert held.stdout is not None and held.stdout.readline() == b"held\n"
        assert is_read(tmp_path)
        held.kill()
    assert not is_read(tmp_path)


def test_a_model_made_inside_its_source(source: Path, tmp_path: Path) -> None:
    """`sfumato convert . -o .`: what is made there is no change of the source."""
    own = Path(shutil.copytree(source, tmp_path / "tiny"))
    kinds = (K.TEXT_ENCODER, K.SAFETY_CHECKER)
    asked = encoder_only(own, own, components=kinds)

    def killed(progress: Progress) -> None:
        if progress.component == "Safety checker":
            raise Killed

    with pytest.raises(Killed):
        run(asked, killed, never)
    events: list[Progress] = []
    run(asked, events.append, never)
    assert [e.component for e in events if e.resumed] == ["Text encoder"]
    again = dataclasses.replace(asked, output=str(own / "again"), components=kinds[:1])
    run(again, lambda _: None, never)
    assert {p.name for p in own.iterdir()} >= {"model", "again"}


def test_a_folder_of_somebody_else_is_not_worked_in(source: Path, tmp_path: Path) -> None:
    asked = encoder_only(source, tmp_path)
    theirs = partial_folder(asked.output) / "model" / "novel.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("Chapter one")
    (partial_folder(asked.output) / "notes.txt").write_text("mine")
    error = refusal(asked)
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "“model.partial”" in error.message
    remove_partial(asked)
    assert theirs.read_text() == "Chapter one"


def test_a_model_that_another_process_has_just_made(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was put in its place between this one's first look and its lock."""
    asked = encoder_only(source, tmp_path)

    @contextlib.contextmanager
    def late(work: Path) -> Iterator[None]:
        with locked(work):
            Path(asked.output).mkdir()
            yield

    monkeypatch.setattr(job, "locked", late)
    assert "already" in refusal(asked).message
    assert not partial_folder(asked.output).exists()


def test_a_lock_on_a_folder_that_was_removed_meanwhile(tmp_path: Path) -> None:
    """The process that had it has finished and cleared up between our opening and our locking."""
    work = tmp_path / "model.partial"
    work.mkdir()
    opened = fcntl.flock

    def late(file: Any, how: int) -> None:
        shutil.rmtree(work)
        opened(file, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        with pytest.raises(SfumatoError) as caught, locked(work):
            pass
    assert "already" in caught.value.message


def test_layers_of_a_lora_that_fit_nothing_are_reported(source: Path, tmp_path: Path) -> None:
    path = save_lora("sd1", tmp_path / "style.safetensors")
    tensors = load_file(path)
    names = [n for n in tensors if "attn1.to_q.lora" in n][:2]
    assert len(names) == 2
    tensors |= {n.replace("to_q", "to_nowhere"): tensors[n].clone() for n in names}
    save_file(tensors, path)
    asked = encoder_only(source, tmp_path, loras=(Lora(str(path)),))
    report = run(asked, lambda _: None, never)
    assert any("“style.safetensors”" in w and "left out" in w for w in report.warnings)
