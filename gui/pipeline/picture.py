"""One picture of a request: walked, decoded, judged, enlarged, and told of in its record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import numpy as np
import torch
from torch import Tensor

import gui
from gui.coreml.model import ComponentKind
from gui.coreml.picture_network import find_upscaler
from gui.coreml.runtime import Runtime
from gui.coreml.sidecar import Sidecar
from gui.errors import Cancelled
from gui.files import expanded
from gui.library.latent_sketch import Sketcher
from gui.library.picture_reader import opaque, read_picture
from gui.pipeline import safety, tiling, vae
from gui.pipeline.beginning import Start, begin
from gui.pipeline.course import Stage, Turn, walk, way
from gui.pipeline.detail import only_detailed, painted
from gui.pipeline.enlarge import Enlarger
from gui.pipeline.ground import Ground, cropped
from gui.pipeline.networks import Networks
from gui.pipeline.placement import Placement
from gui.pipeline.preview import Previewer
from gui.pipeline.prompts import PhasedUNet
from gui.pipeline.schedulers import Scheduler
from gui.provenance import Provenance
from gui.request import MAX_SEED, Composition, ComputeUnit, PictureRecord, PictureRequest
from gui.start_image import StartImage


@dataclass
class Hooks:
    """What the caller wants to hear and say while pictures are made."""

    on_step: Callable[[int, int, int, np.ndarray | None], None] = lambda *_: None
    """(picture index, step from 1, steps, preview uint8 [h, w, 3] or None): after each step the
    person asked for, exactly once."""
    on_enlarging: Callable[[int, int, int], None] = lambda *_: None
    """(picture index, pieces enlarged, pieces in all): where the picture is enlarged."""
    cancelled: Callable[[], bool] = lambda: False
    """Asked before every run of a network."""


def check(hooks: Hooks) -> None:
    """Raises Cancelled where nothing more is wanted."""
    if hooks.cancelled():
        raise Cancelled


@dataclass(frozen=True)
class GeneratedPicture:
    pixels: np.ndarray
    """uint8 [height, width, 3]."""
    record: PictureRecord


@dataclass(frozen=True)
class PictureJob:
    """What all pictures of one request share."""

    request: PictureRequest
    scheduler: Scheduler
    """With its steps laid out; each picture runs on a copy."""
    predict: PhasedUNet
    previewer: Previewer | None
    notes: tuple[str, ...]
    provenance: Provenance

    def turn(self, hooks: Hooks) -> Turn:
        """How its part of a picture is made."""

        def predict(sample: Tensor, timestep: float) -> Tensor:
            return self.predict(sample, timestep, partial(check, hooks))

        return Turn(predict, self.scheduler, self.request, self.predict.begin_step)


class PictureMaker:
    """Makes pictures, one after the other, with networks that are loaded.

    Args:
        networks: the model's.
        sidecar: what its files do not say.
        runtime: loads and runs what enlarges.
        compute_unit: processors Core ML may use.
        identity: the model's, for the records.
    """

    def __init__(
        self,
        networks: Networks,
        sidecar: Sidecar,
        runtime: Runtime,
        compute_unit: ComputeUnit,
        identity: Callable[[], str],
    ) -> None:
        self._networks = networks
        self._sidecar = sidecar
        self._runtime = runtime
        self._compute_unit = compute_unit
        self._identity = identity
        self._enlarger: Enlarger | None = None

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """[1, channels, height, width]."""
        m = self._networks.model
        return (1, m.latent_channels, m.latent_height, m.latent_width)

    def encode(self, picture: np.ndarray, hooks: Hooks) -> vae.EncodedImage:
        """float32 [height, width, 3] in 0…1, of the model's size."""
        encoder = self._networks[ComponentKind.VAE_ENCODER]
        sparing, wanted = self._networks.sparing, partial(check, hooks)
        return vae.encode(encoder, picture, self._sidecar, self.latent_shape, sparing, wanted)

    def decode(self, hooks: Hooks, latents: Tensor) -> np.ndarray:
        """float32 [height, width, 3] in 0…1."""
        decoder = self._networks[ComponentKind.VAE_DECODER]
        sparing, wanted = self._networks.sparing, partial(check, hooks)
        with torch.no_grad():
            return vae.decode(decoder, latents, self._sidecar, sparing, wanted)

    def way(self, turns: list[Turn]) -> list[Stage]:
        """How the parts of a picture are walked, one after the other."""
        return way(turns, self.latent_shape, self._sidecar.prediction_type)

    def picture(
        self,
        jobs: list[PictureJob],
        start: Start | None,
        index: int,
        request: PictureRequest,
        hooks: Hooks,
    ) -> GeneratedPicture:
        """Make a picture.

        Args:
            jobs: what makes it, from its beginning over every branch to its own request.
            start: the picture it begins with.
            index: which of the request's pictures it is.
            request: for it alone.
        """
        started = time.perf_counter()
        job = jobs[-1]
        turns = [job.turn(hooks) for job in jobs]
        turns[-1] = replace(turns[-1], request=request)
        stages = self.way(turns)
        beginning = begin(stages[0], start, self.latent_shape, self._networks.model.unet_kind)
        kept = beginning.kept
        if beginning.shown is not None:
            for each in jobs:
                each.predict.show(beginning.shown)
        legs = [leg for stage in stages for leg in stage.made()]
        steps = sum(leg.steps for leg in legs)
        placement = Placement.of(stages[0].turn.request)
        in_place = start.previewer() if start is not None else lambda preview: preview
        sketcher = Sketcher(steps, sum(len(leg.timesteps) for leg in legs))

        def on_step(done: int, x0: Callable[[], Tensor]) -> None:
            preview = None
            if job.previewer:
                latents = kept.finished(x0()) if kept else x0()
                preview = job.previewer(placement.seen(latents) if placement else latents)
                preview = in_place(preview)
            hooks.on_step(index, done, steps, preview)

        kind = self._sidecar.prediction_type
        keep = kept.before if kept else None
        latents = walk(stages, beginning.latents, kind, sketcher.before_call, on_step, keep)
        if kept:
            latents = kept.finished(latents)
        decode = partial(self.decode, hooks)
        if wrapped := tiling.axes(job.request.tiling):
            pixels = vae.to_pixels(tiling.decoded(latents, wrapped, decode))
        elif placement is None:
            pixels = vae.to_pixels(decode(latents))
        else:
            pixels = placement.turned(vae.to_pixels(decode(placement.placed(latents))))
        began = jobs[0].request.start_image
        put_back = began is not None and began.keeps_size
        if put_back:  # what was drawn is enlarged, and not the picture that it is put into
            pixels = self._enlarged(pixels, job.request, index, hooks)
        if start is not None:
            pixels = start.finished(pixels)
        pixels, verdict, notes = self._judged(pixels, job, hooks)
        notes += start.notes if start is not None else ()
        if not put_back:
            if only_detailed(request):
                assert began is not None
                whole = read_picture(expanded(began.path))
                pixels = np.asarray(opaque(cropped(whole, began.outpaint)))
            pixels = self._enlarged(pixels, job.request, index, hooks)
        if request.detail_strength:
            pixels = self._detailed(pixels, turns[-1], index, hooks)
        record = self._record(job, request, pixels, verdict, notes, time.perf_counter() - started)
        seen = replace(record.provenance, sketch=sketcher.text(latents))
        return GeneratedPicture(pixels, replace(record, provenance=seen))

    def _judged(
        self, pixels: np.ndarray, job: PictureJob, hooks: Hooks
    ) -> tuple[np.ndarray, str, tuple[str, ...]]:
        """The picture after the safety checker, the checker's verdict, and notes."""
        if ComponentKind.SAFETY_CHECKER not in self._networks.model.components:
            return pixels, "absent", ()
        if not job.request.safety_checker:
            return pixels, "off", ()
        check(hooks)
        if not safety.finds_unsafe(self._networks[ComponentKind.SAFETY_CHECKER], pixels):
            return pixels, "passed", ()
        note = "The model's safety checker objected to this picture, so it was made black."
        return safety.blanked(pixels), "blanked", (note,)

    def _enlarged(
        self, pixels: np.ndarray, request: PictureRequest, index: int, hooks: Hooks
    ) -> np.ndarray:
        factor = request.enlargement.factor if request.enlargement else 1
        if factor == 1:
            return pixels
        network = find_upscaler(request.upscaler or "")
        self._networks.make_room()
        if self._enlarger is None or self._enlarger.network != network:
            self.close()
            self._enlarger = Enlarger(network, self._runtime, self._compute_unit)

        def on_piece(done: int, total: int) -> None:
            hooks.on_enlarging(index, done, total)

        enlarger = self._enlarger

        def enlarge(part: np.ndarray) -> np.ndarray:
            return enlarger.enlarge(part, factor, on_piece, hooks.cancelled)

        enlarged = tiling.wrapped(pixels, request.tiling, enlarge, factor)
        if self._networks.sparing:
            self.close()
        return enlarged

    def _detailed(self, pixels: np.ndarray, turn: Turn, index: int, hooks: Hooks) -> np.ndarray:
        """The picture with finer detail, painted in pieces of the model's size."""
        request, kind = turn.request, self._sidecar.prediction_type
        plain = replace(
            request,
            start_image=StartImage("", request.detail_strength),
            branch=None,
            composition=Composition.MODEL,
            variation_strength=0.0,
        )

        def paint(piece: np.ndarray, number: int) -> np.ndarray:
            seed = (request.seed + number) % (MAX_SEED + 1)
            image = self.encode(piece.astype(np.float32) / 255, hooks)
            (stage,) = self.way([replace(turn, request=replace(plain, seed=seed))])
            start = Start(Ground(piece.astype(np.float32) / 255), image)
            begun = begin(stage, start, self.latent_shape, self._networks.model.unet_kind)
            latents = walk([stage], begun.latents, kind, lambda _: None, lambda *_: None, None)
            return vae.to_pixels(self.decode(hooks, latents))

        def on_piece(done: int, total: int) -> None:
            hooks.on_enlarging(index, done, total)

        side = (self._networks.model.image_height, self._networks.model.image_width)
        return painted(pixels, side, paint, on_piece, hooks.cancelled)

    def _record(
        self,
        job: PictureJob,
        request: PictureRequest,
        pixels: np.ndarray,
        verdict: str,
        notes: tuple[str, ...],
        seconds: float,
    ) -> PictureRecord:
        return PictureRecord(
            request=replace(request, compute_unit=self._compute_unit),
            width=pixels.shape[1],
            height=pixels.shape[0],
            model_name=self._sidecar.name or self._networks.model.name,
            model_hash=self._identity(),
            seconds=round(seconds, 3),
            notes=job.notes + notes,
            safety=verdict,
            program=f"Sfumato {gui.__version__}",
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
            provenance=job.provenance,
        )

    def close(self) -> None:
        """Free what enlarges."""
        if self._enlarger is not None:
            self._enlarger.close()
            self._enlarger = None
