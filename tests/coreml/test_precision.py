"""bfloat16 is for who asks for it, on processors that have it; elsewhere it costs nothing but a
sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gui.cli.main import main
from gui.coreml import precision
from gui.coreml.precision import computed_in
from gui.coreml.processor import Processor
from gui.engine.backend import PipelineBackend
from gui.library.picture_origin import PictureOrigin
from gui.library.queue import JobStore
from gui.pipeline.pipeline import GeneratedPicture, Hooks
from gui.request import PictureRequest, Precision
from gui.state.pictures.origin import origin_of
from tests.coreml_portable.support import decibels

HAS = Processor("Zen 4", "AuthenticAMD", frozenset({"fpu", "avx512_bf16"}))
HAS_NOT = Processor("Zen 2", "AuthenticAMD", frozenset({"fpu", "avx2"}))


def on(monkeypatch: pytest.MonkeyPatch, processor: Processor, *, core_ml: bool = False) -> None:
    monkeypatch.setattr(precision, "this_processor", lambda: processor)
    monkeypatch.setattr(precision, "runs_core_ml", lambda: core_ml)


def drawn(asked: Precision) -> GeneratedPicture:
    request = PictureRequest("a red apple", "", steps=4, seed=5, previews=False, precision=asked)
    pipeline = PipelineBackend().find(request).build()
    try:
        pipeline.load(lambda *_: None, request)
        return next(pipeline.generate(request, Hooks()))
    finally:
        pipeline.close()


def test_a_picture_in_bfloat16_is_nearly_the_same_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on(monkeypatch, HAS)
    exact, rough = drawn(Precision.FP32), drawn(Precision.BF16)
    assert not np.array_equal(exact.pixels, rough.pixels)
    assert decibels(rough.pixels / 255, exact.pixels / 255) > 25
    assert (exact.record.provenance.precision, rough.record.provenance.precision) == ("", "bf16")
    used = [_computed_by(picture) for picture in (exact, rough)]
    assert used[1] == f"{used[0]}, in bfloat16"


def _computed_by(picture: GeneratedPicture) -> str:
    origin = origin_of(PictureOrigin(picture.record))
    return dict(origin.technical)["Computed by"]


@pytest.mark.parametrize("core_ml", [False, True])
def test_a_request_of_another_machine_is_computed_as_this_one_can(
    core_ml: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, HAS if core_ml else HAS_NOT, core_ml=core_ml)
    assert computed_in(Precision.BF16) is computed_in(Precision.FP32) is Precision.FP32
    exact, asked = drawn(Precision.FP32), drawn(Precision.BF16)
    assert np.array_equal(exact.pixels, asked.pixels)
    assert asked.record.provenance.precision == ""


def test_the_engine_loads_the_model_again_where_the_precision_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = PipelineBackend()

    def keys() -> list[object]:
        return [backend.find(PictureRequest("x", "", precision=asked)).key for asked in Precision]

    on(monkeypatch, HAS)
    one, other = keys()
    assert one != other
    on(monkeypatch, HAS_NOT)
    one, other = keys()
    assert one == other


@pytest.mark.parametrize(
    "command", [["generate", "a fox"], ["queue", "add", "a fox"], ["serve"], ["bench"]]
)
def test_commands_refuse_it_where_there_is_none(
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    on(monkeypatch, HAS_NOT)
    try:
        assert main([*command, "--precision", "bf16"]) != 0
    except SystemExit as ended:
        assert ended.code == 2
    told = capsys.readouterr().err
    assert "has no bfloat16; leave out --precision bf16." in told


def test_a_request_in_line_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    on(monkeypatch, HAS)
    assert main(["queue", "add", "a fox", "--precision", "bf16"]) == 0
    assert main(["queue", "add", "a fox"]) == 0
    store = JobStore.default(own=False)
    try:
        assert [job.request.precision for job in store.jobs()] == [Precision.BF16, Precision.FP32]
    finally:
        store.close()
