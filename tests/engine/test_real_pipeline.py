"""The real engine process with the real pipeline on real packages."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gui.engine import messages
from gui.engine.runner import EngineRunner, OutcomeStatus
from gui.errors import ErrorKind
from gui.library import step_previews, step_times
from gui.library.picture_record import read_record
from gui.library.picture_scan import facts_of
from gui.request import PictureRequest, RandomSource, StartImage

if TYPE_CHECKING:
    from tests.support.tiny_models import TinyModel


def images(real_runner: EngineRunner, request: PictureRequest) -> list[messages.Image]:
    events: list[messages.JobEvent] = []
    outcome = real_runner.run("j", request, 0, events.append)
    assert outcome.status is OutcomeStatus.FINISHED, outcome.error
    return [e for e in events if isinstance(e, messages.Image)]


def test_pictures_are_those_of_diffusers(real_runner: EngineRunner, tiny_sd1: TinyModel) -> None:
    """From the prompt through process, packages and PNG: what diffusers makes of the same weights,
    prompt, seed and scheduler."""
    import torch
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    pipe = copy.deepcopy(tiny_sd1.pipe)  # other tests have the same
    pipe.safety_checker = None
    # As Stable Diffusion 1's published scheduler_config.json has it.
    pipe.scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
        clip_sample=False, set_alpha_to_one=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    request = PictureRequest(
        "a red apple on blue", str(tiny_sd1.folder), "blurry", steps=4, guidance_scale=6.0,
        scheduler="DDIM", seed=7, count=2, random_source=RandomSource.TORCH, safety_checker=False,
    )  # fmt: skip
    made = images(real_runner, request)
    assert len(made) == 2
    for image, seed in zip(made, (7, 8), strict=True):
        with Image.open(image.path) as file:
            ours = np.asarray(file).astype(int)
        expected = pipe(
            "a red apple on blue", negative_prompt="blurry", num_inference_steps=4,
            guidance_scale=6.0, generator=torch.Generator().manual_seed(seed),
            height=ours.shape[0], width=ours.shape[1], output_type="np",
        ).images[0]  # fmt: skip
        assert np.abs(ours - expected * 255).max() <= 1.5
        assert read_record(Path(image.path)) == image.record
        assert image.record.request.seed == seed and image.record.safety == "off"


def test_what_a_picture_took_is_kept_for_forecasts(
    real_runner: EngineRunner, tiny_sd1: TinyModel
) -> None:
    made = images(real_runner, PictureRequest("x", str(tiny_sd1.folder), steps=4, seed=1))
    record = made[0].record
    (pace,) = step_times.measured(record.model_hash, record.request.compute_unit)
    assert (pace.width, pace.height) == (record.width, record.height)
    scheduler, size = record.request.scheduler or "", (record.width, record.height)
    assert pace.call > 0
    forecast = step_times.expected((pace,), size, 4, scheduler, xl=False)
    assert forecast is not None and forecast >= 0.99 * record.seconds


def test_previews_come_at_every_step(real_runner: EngineRunner, tiny_sd1: TinyModel) -> None:
    steps: list[messages.Step] = []

    def keep(event: messages.JobEvent) -> None:
        if isinstance(event, messages.Step):
            steps.append(event)

    real_runner.run("j", PictureRequest("x", str(tiny_sd1.folder), steps=3), 0, keep)
    assert [s.step for s in steps] == [1, 2, 3]
    previews = [s.preview for s in steps]
    assert all(p is not None and p.width == p.height == 8 for p in previews)
    assert len({p.rgb for p in previews if p}) == 3


def test_previews_are_kept_with_each_picture_where_that_is_asked_for(
    real_runner: EngineRunner, tiny_sd1: TinyModel
) -> None:
    events: list[messages.JobEvent] = []
    request = PictureRequest("x", str(tiny_sd1.folder), steps=3, count=2, keep_previews=True)
    real_runner.run("j", request, 0, events.append)
    made = [event for event in events if isinstance(event, messages.Image)]
    assert len(made) == 2
    for image in made:
        told = [
            event.preview
            for event in events
            if isinstance(event, messages.Step) and event.picture_index == image.picture_index
        ]
        kept = step_previews.read(facts_of(Path(image.path)).fingerprint)
        assert kept is not None and kept.steps == 3
        assert [frame.step for frame in kept.frames] == [1, 2, 3]
        for frame, preview in zip(kept.frames, told, strict=True):
            assert preview is not None
            ours, theirs = (np.frombuffer(p.rgb, np.uint8).astype(int) for p in (frame, preview))
            assert np.abs(ours - theirs).mean() < 12, "small, so JPEG; but this one"
    real_runner.run("k", PictureRequest("y", str(tiny_sd1.folder), steps=3), 0, events.append)
    last = events[-1]
    assert isinstance(last, messages.Image)
    assert step_previews.read(facts_of(Path(last.path)).fingerprint) is None


def test_image_to_image_after_text_to_image_loads_only_the_encoder(
    real_runner: EngineRunner, tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    Image.new("RGB", (200, 100), "red").save(tmp_path / "start.png")
    request = PictureRequest("x", str(tiny_sd1.folder), steps=4)
    images(real_runner, request)
    start = StartImage(str(tmp_path / "start.png"), 0.5)
    events: list[messages.JobEvent] = []
    real_runner.run(
        "second", PictureRequest("x", request.model, steps=4, start_image=start), 0, events.append
    )
    loaded = [e.component for e in events if isinstance(e, messages.Loading)]
    assert loaded == ["vae_encoder"]
    assert sum(isinstance(e, messages.Step) for e in events) == 2


def test_stop_lands_within_one_step(real_runner: EngineRunner, tiny_sd1: TinyModel) -> None:
    seen: list[messages.JobEvent] = []

    def on_event(event: messages.JobEvent) -> None:
        seen.append(event)
        if isinstance(event, messages.Step) and event.step == 1:
            real_runner.stop("j")

    outcome = real_runner.run(
        "j", PictureRequest("x", str(tiny_sd1.folder), steps=200), 0, on_event
    )
    assert outcome.status is OutcomeStatus.CANCELLED
    # Steps of a tiny model take milliseconds, as does the way of the flag.
    assert sum(isinstance(e, messages.Step) for e in seen) < 50
    assert real_runner.pid is not None


class TestBadInput:
    def fails(self, real_runner: EngineRunner, request: PictureRequest, kind: ErrorKind) -> str:
        """The sentence; the engine must be the same before and after."""
        pid = real_runner.pid
        outcome = real_runner.run("j", request)
        assert outcome.status is OutcomeStatus.FAILED
        assert outcome.error is not None and outcome.error.kind is kind, outcome.error
        assert real_runner.pid == pid or pid is None
        return outcome.error.message

    def test_no_model(self, real_runner: EngineRunner, tmp_path: Path) -> None:
        for folder in (tmp_path, tmp_path / "absent"):
            self.fails(real_runner, PictureRequest("x", str(folder)), ErrorKind.BAD_MODEL)

    def test_a_truncated_model(
        self, real_runner: EngineRunner, tiny_sd1: TinyModel, tmp_path: Path
    ) -> None:
        model = tmp_path / "model"
        shutil.copytree(tiny_sd1.folder, model)
        weights = next(model.glob("*unet*.mlpackage")).rglob("weight.bin")
        file = next(iter(weights))
        with file.open("r+b") as handle:
            handle.truncate(file.stat().st_size // 2)
        self.fails(real_runner, PictureRequest("x", str(model)), ErrorKind.BAD_MODEL)

    def test_a_starting_picture_that_is_none(
        self, real_runner: EngineRunner, tiny_sd1: TinyModel, tmp_path: Path
    ) -> None:
        (tmp_path / "no.png").write_text("no picture")
        start = StartImage(str(tmp_path / "no.png"))
        request = PictureRequest("x", str(tiny_sd1.folder), start_image=start)
        self.fails(real_runner, request, ErrorKind.BAD_IMAGE)

    def test_an_unknown_scheduler(self, real_runner: EngineRunner, tiny_sd1: TinyModel) -> None:
        request = PictureRequest("x", str(tiny_sd1.folder), scheduler="Eular")
        assert "Euler" in self.fails(real_runner, request, ErrorKind.BAD_REQUEST)

    def test_five_hundred_words_work_with_a_note(
        self, real_runner: EngineRunner, tiny_sd1: TinyModel
    ) -> None:
        [image] = images(real_runner, PictureRequest("word " * 500, str(tiny_sd1.folder), steps=1))
        assert any("75" in note for note in image.record.notes)
