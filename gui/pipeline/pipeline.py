"""Pictures from words, and from pictures, with Stable Diffusion 1, 2 and XL.

Nothing about a model is assumed: shapes come from its files, scale, prediction type and scheduler
settings from its sidecar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from torch import Tensor

from gui.coreml.control_fit import takes_controls
from gui.coreml.defaults import fill_defaults
from gui.coreml.flexible import model_at
from gui.coreml.model import (
    ComponentKind,
    ModelInfo,
    UNetKind,
    chunks_of_text,
)
from gui.coreml.picture_network import find_upscaler
from gui.coreml.prediction import KnownBy, Prediction
from gui.coreml.runtime import Runtime
from gui.coreml.sidecar import Preview, Sidecar
from gui.coreml.tiles import wants_tiles
from gui.errors import ErrorKind, SfumatoError
from gui.files import expanded
from gui.pipeline import tiling
from gui.pipeline.beginning import encoded, lay_ground
from gui.pipeline.controls import ActiveControl, ControlShelf, FitControl, as_it_is
from gui.pipeline.course import Turn, steps_of
from gui.pipeline.demands import (
    check_detail,
    check_prompt,
    check_usable,
    with_model,
    without_effect,
)
from gui.pipeline.depth import depth_latents
from gui.pipeline.ground import Ground, asked_size
from gui.pipeline.networks import UNETS, Networks, OnLoading, Room
from gui.pipeline.picture import GeneratedPicture, Hooks, PictureJob, PictureMaker, check
from gui.pipeline.preview import Previewer, fit_preview, published_preview
from gui.pipeline.preview_store import keep_preview, kept_preview
from gui.pipeline.prompts import PhasedUNet, PromptPhase, Prompts, guidance
from gui.pipeline.provenance import provenance_of
from gui.pipeline.refiner import RefinedUNet, Refiner, find_refiner, is_short_of_memory
from gui.pipeline.schedulers import Scheduler, make_scheduler, set_steps
from gui.pipeline.text import TextEncoders, make_tokenizers
from gui.pipeline.unet import GuidedUNet, is_guidance_distilled
from gui.request import ComputeUnit, PictureRequest


class Pipeline:
    """One model, loaded once, making pictures request after request.

    Args:
        model: the folder's components.
        sidecar: what the files do not say.
        runtime: loads and runs the networks.
        compute_unit: processors Core ML may use.
        model_hash: identity for the pictures' records; None: worked out from the files.
        fit_control: gives ControlNets the size of the model's pictures.
        sparing: memory is short: networks are loaded one after the other, each when it is run.

    Raises:
        SfumatoError: BAD_MODEL or UNSUPPORTED where the model cannot be used.
    """

    def __init__(
        self,
        model: ModelInfo,
        sidecar: Sidecar,
        runtime: Runtime,
        compute_unit: ComputeUnit,
        model_hash: str | None = None,
        fit_control: FitControl = as_it_is,
        sparing: bool = False,
    ) -> None:
        check_usable(model, sidecar)
        self.model = model
        self.sidecar = sidecar
        self.compute_unit = compute_unit
        self.preview: Preview | None = sidecar.preview or published_preview(
            sidecar.family, model.latent_channels, sidecar
        )
        """Map for previews; None until fitted, which happens before the first step that asks."""
        self.preview_was_fitted = False
        """Whether `preview` was fitted here; it is then kept for the next start."""
        self._runtime = runtime
        self._networks = Networks(model, runtime, compute_unit, Room() if sparing else None)
        self._maker = PictureMaker(self._networks, sidecar, runtime, compute_unit, self._identity)
        self._text: TextEncoders | None = None
        self._hash = model_hash
        self._refiner: Refiner | None = None
        self._controls = ControlShelf(runtime, compute_unit, model.controlnets, fit_control)

    def load(
        self, on_loading: OnLoading | None = None, request: PictureRequest | None = None
    ) -> None:
        """Load what is not loaded yet; networks stay loaded until `close`, where there is room.

        Args:
            on_loading: told (component, index from 0, total) before each component.
            request: load only what this request needs; None: everything.

        Raises:
            SfumatoError: as `Runtime.load`.
        """
        self._networks.on_loading = on_loading or self._networks.on_loading
        if request is not None:
            self._settle(request)
        kinds = self._wanted(request)
        if request is not None:  # both would take the memory of two
            self._networks.let_go([other for other in UNETS if other not in kinds])
        self._networks.load(kinds)
        if self._text is None:
            kinds = (ComponentKind.TEXT_ENCODER, ComponentKind.TEXT_ENCODER_2)
            encoders = [self._networks[kind] for kind in kinds if kind in self._networks]
            have = self.model.components
            inside = (f for kind in kinds if kind in have for f in have[kind].files)
            folders = (self.model.folder, *inside)  # Guernika keeps them in the text encoder
            tokenizers = make_tokenizers(folders, self.sidecar, len(encoders))
            self._text = TextEncoders(encoders, tokenizers)

    def generate(self, request: PictureRequest, hooks: Hooks) -> Iterator[GeneratedPicture]:
        """Make the pictures of `request`, one after the other; each is yielded when done.

        Raises:
            Cancelled: when `hooks.cancelled` says so.
            SfumatoError: BAD_REQUEST, BAD_IMAGE, BAD_MODEL, UNSUPPORTED, MEMORY.
        """
        self._settle(request)
        request = with_model(fill_defaults(request, self.sidecar), self.model)
        # made first: what cannot be done is refused before anything is loaded
        if request.upscaler:
            find_upscaler(request.upscaler)
        tiling.check(request, self.model.unet_kind)
        self._find_refiner(request)
        line = [(each, self._scheduler(each)) for each in request.lineage()]
        self._maker.way([Turn(_not_yet, scheduler, each) for each, scheduler in line])
        for each, _ in line:
            self._controls.find(each.leading, self.model.components[self._unet_kind(each)])
        check_prompt(request, self.model)
        check_detail(request, self.model, self.sidecar)
        ground = lay_ground(request, self.model)
        self.load(request=request)
        self._make_room(request)
        controls = self._take_controls([each for each, _ in line], ground)
        start = encoded(ground, self.model, lambda picture: self._maker.encode(picture, hooks))
        jobs = [
            self._prepare(each, scheduler, led, hooks)
            for (each, scheduler), led in zip(line, controls, strict=True)
        ]
        for index in range(request.count):
            yield self._maker.picture(jobs, start, index, request.single(index), hooks)

    def close(self) -> None:
        """Free the networks."""
        self._networks.close()
        self._controls.close()
        self._drop_refiner()
        self._text = None
        self._maker.close()

    def _identity(self) -> str:
        if self._hash is None:
            from gui.coreml.inspect import model_hash

            self._hash = model_hash(self.model)
        return self._hash

    def _preview_key(self) -> str:
        """The map holds for one decoder under one scale and shift."""
        sidecar = self.sidecar
        return f"{self._identity()}-{sidecar.scaling_factor:g}-{sidecar.shift_factor:g}"

    def _settle(self, request: PictureRequest) -> None:
        """Have a model of several sizes be one of the size that is asked for.

        Raises:
            SfumatoError: BAD_REQUEST where it does not draw that size.
        """
        model = self.model
        if model.sizes is None:
            return
        size = asked_size(request, model)
        if size == (model.image_width, model.image_height):
            return
        self.model = model_at(model, size)
        self._networks.settle(self.model)

    # What is loaded

    def _wanted(self, request: PictureRequest | None) -> list[ComponentKind]:
        have = self.model.components
        kinds = [ComponentKind.TEXT_ENCODER, ComponentKind.TEXT_ENCODER_2]
        line = request.lineage() if request is not None else [None]
        kinds += dict.fromkeys(self._unet_kind(each) for each in line)
        shown = self.model.unet_kind in (UNetKind.INPAINT, UNetKind.INSTRUCT)
        detailed = request is not None and request.detail_strength > 0
        if shown or detailed or any(each is None or each.start_image for each in line):
            kinds.append(ComponentKind.VAE_ENCODER)
        kinds.append(ComponentKind.VAE_DECODER)
        if request is None or request.safety_checker:
            kinds.append(ComponentKind.SAFETY_CHECKER)
        return [kind for kind in kinds if kind in have]

    def _unet_kind(self, request: PictureRequest | None) -> ComponentKind:
        """The plain UNet, or where there is a control to follow, the one that can."""
        plain = self.model.components.get(ComponentKind.UNET)
        ready = ComponentKind.CONTROL_UNET in self.model.components
        if plain is None:
            return ComponentKind.CONTROL_UNET
        wanted = request is not None and bool(request.leading) and not takes_controls(plain)
        return ComponentKind.CONTROL_UNET if wanted and ready else ComponentKind.UNET

    # One request

    def _scheduler(self, request: PictureRequest) -> Scheduler:
        assert request.scheduler and request.steps
        scheduler = make_scheduler(request.scheduler, self.sidecar)
        set_steps(scheduler, request.scheduler, request.steps)
        return scheduler

    def _take_controls(
        self, line: Sequence[PictureRequest], ground: Ground | None
    ) -> list[list[ActiveControl]]:
        """What leads each request of a lineage; together, since what none needs is let go of."""
        leading = max(line, key=lambda each: len(each.leading))
        active = iter(
            self._controls.take(
                [control for each in line for control in each.leading],
                self.model.components[self._unet_kind(leading)],
                self.model.image_width,
                self.model.image_height,
                ground.cleared() if ground is not None else None,
            )
        )
        return [[next(active) for _ in each.leading] for each in line]

    def _prepare(
        self,
        request: PictureRequest,
        scheduler: Scheduler,
        controls: Sequence[ActiveControl],
        hooks: Hooks,
    ) -> PictureJob:
        assert request.guidance_scale is not None
        provenance = provenance_of(self.sidecar, self._runtime.name, scheduler, request)
        unet = self._networks[self._unet_kind(request)]
        guided, scale = guidance(request, is_guidance_distilled(unet))
        phases, notes = self._encode_prompts(request, guided, hooks)
        size = (self.model.image_height, self.model.image_width)
        rescale = request.guidance_rescale
        steps = scheduler.timesteps.tolist() if controls else ()
        edits = self.model.unet_kind is UNetKind.INSTRUCT
        of_image = request.image_guidance_scale if edits else None
        led = (scale, size, rescale, controls, steps, of_image)
        unets = [
            (phase.until, GuidedUNet(unet, phase.positive, phase.negative, *led))
            for phase in phases
        ]
        predict = self._refined(PhasedUNet(unets), request, scheduler, guided, hooks)
        if wrapped := tiling.axes(request.tiling):
            predict = tiling.TiledUNet(predict, wrapped)
        if self.model.unet_kind is UNetKind.DEPTH:
            predict.show(
                depth_latents(expanded(request.depth_map), *size, *self._maker.latent_shape[2:])
            )
        return PictureJob(
            request=request,
            scheduler=scheduler,
            predict=predict,
            previewer=self._previewer(hooks) if request.previews else None,
            notes=(*notes, *without_effect(request, self.model), *self._tiled()),
            provenance=provenance,
        )

    def _tiled(self) -> tuple[str, ...]:
        """A note where a machine with more memory would have made another picture."""
        size = (self.model.image_width, self.model.image_height)
        if self._networks.sparing and wants_tiles(*size, True) and not wants_tiles(*size, False):
            return ("It was decoded in tiles to spare memory, which changes details slightly.",)
        return ()

    def _find_refiner(self, request: PictureRequest) -> None:
        """Have the refiner that is asked for at hand, not loaded yet, and no other."""
        names = {each.refiner for each in request.lineage()} - {""}
        if len(names) > 1:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "Two refiners cannot make one picture; choose that of the picture it goes on from.",
            )
        for name in names:
            model, sidecar = find_refiner(name, self.model)
            if self._refiner is None or self._refiner.model != model:
                self._drop_refiner()
                self._refiner = Refiner(model, sidecar, self._networks.resting)
        if not names:
            self._drop_refiner()

    def _drop_refiner(self) -> None:
        if self._refiner is not None:
            self._refiner.close()
            self._refiner = None

    def _refined(
        self,
        base: PhasedUNet,
        request: PictureRequest,
        scheduler: Scheduler,
        guided: bool,
        hooks: Hooks,
    ) -> PhasedUNet:
        """The UNet, with the refiner for the last steps where one is asked for."""
        if not request.refiner or self._refiner is None:
            return base
        size = (self.model.image_height, self.model.image_width)
        refiner = self._refiner.phases(
            request, steps_of(request), guided, size, partial(check, hooks)
        )
        train_steps = int(scheduler.config.num_train_timesteps)
        return RefinedUNet(base, refiner, request.refiner_switch_at, train_steps)

    def _make_room(self, request: PictureRequest) -> None:
        """Where memory is short, the UNet and the refiner are let go of for one another."""
        if self._refiner is None or self._networks.sparing:
            return
        kind, refiner = self._unet_kind(request), self._refiner
        if is_short_of_memory((self.model.components[kind].size_bytes, refiner.size_bytes)):
            self._networks.rest_for(kind, refiner.unet)
        else:
            refiner.unet.load()

    def _encode_prompts(
        self, request: PictureRequest, guided: bool, hooks: Hooks
    ) -> tuple[list[PromptPhase], tuple[str, ...]]:
        assert self._text is not None
        unet = self._networks[self._unet_kind(request)]
        most = chunks_of_text(unet.inputs.get("encoder_hidden_states"), self._text.length)
        prompts = Prompts(self._text, request, steps_of(request), most)
        zero_empty = self.sidecar.force_zeros_for_empty_prompt
        phases = prompts.encode(guided, zero_empty, partial(check, hooks))
        notes = [self._assumed(), *prompts.notes(guided)]
        if request.negative_prompt and not guided:
            distilled = is_guidance_distilled(unet)
            reason = "this model takes none" if distilled else "it needs a guidance scale above 1"
            notes.append(f"The negative prompt had no effect: {reason}.")
        return phases, tuple(note for note in notes if note)

    def _assumed(self) -> str:
        """What the UNet is taken to predict, where nothing states it."""
        model = self.model
        if "prediction_type" not in self.sidecar.inferred or not model.prediction_known_by:
            return ""
        return Prediction(model.prediction_type, KnownBy(model.prediction_known_by)).note

    def _previewer(self, hooks: Hooks) -> Previewer:
        channels = self.model.latent_channels
        if self.preview is None:
            self.preview = kept_preview(self._preview_key(), channels)
        if self.preview is None or len(self.preview.matrix) != channels:
            self.preview = fit_preview(
                partial(self._maker.decode, hooks), *self._maker.latent_shape[1:]
            )
            self.preview_was_fitted = True
            keep_preview(self._preview_key(), self.preview)
        return Previewer(self.preview)


def _not_yet(_sample: Tensor, _timestep: float) -> Tensor:
    """Stands for a network while it is only asked whether a way can be walked."""
    raise AssertionError("nothing is loaded yet")


__all__ = ["GeneratedPicture", "Hooks", "Pipeline"]
