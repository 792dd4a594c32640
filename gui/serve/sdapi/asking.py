"""A web UI's request as ours.  Blocking: models are looked up, pictures decoded.

Sources: the web UI's `modules/api/models.py`, `api.py`, `processing.py` and `img2img.py`; its
ControlNet extension's `external_code`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gui import paths, records
from gui.errors import ErrorKind, SfumatoError
from gui.library import loras
from gui.library.metadata.samplers import our_scheduler
from gui.library.prompt_store import PromptStore, ShelfName
from gui.request import (
    MAX_SEED,
    Enlargement,
    PictureRequest,
    RandomSource,
    Tiling,
    new_request,
)
from gui.scheduler_names import scheduler_name
from gui.serve import limits
from gui.serve.messages import ServiceOptions
from gui.serve.sdapi.control_units import controls_of
from gui.serve.sdapi.ignored import unused
from gui.serve.sdapi.schemas import Generation, ImageToImage, TextToImage
from gui.serve.shelf import KnownModel, Shelf
from gui.serve.uploads import Uploads, decoded
from gui.start_image import MAX_FEATHER, InpaintArea, MaskedContent, StartImage
from gui.styles import BUILT_IN, PromptStyle, styled

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_STEP = 64
_FILL = (
    MaskedContent.FILLED, MaskedContent.ORIGINAL, MaskedContent.NOISE, MaskedContent.NOISE,
)  # fmt: skip
_SOURCES = {"gpu": RandomSource.NVIDIA, "nv": RandomSource.NVIDIA, "cpu": RandomSource.TORCH}
_BLUR_REACH = 2.5
"""Standard deviations that the web UI's blur of a mask reaches."""
_PLAIN_RESIZERS = ("none", "latent", "lanczos", "nearest")


@dataclass
class Settings:
    """What ``/sdapi/v1/options`` keeps, until the service ends."""

    clip_skip: int = 1
    random_source: RandomSource = RandomSource.NVIDIA


@dataclass
class Wanted:
    """What a program asked for."""

    requests: list[PictureRequest]
    """Made one after the other."""
    model: KnownModel
    kept: bool
    """Whether the pictures go into the gallery."""
    sent: bool
    drawn: tuple[int, int] = (0, 0)
    """Width and height in pixels before they are enlarged; zeros: not known."""
    longest: int = 0
    """Pixels of the longest side of the pictures that are sent back, where those that are made are
    larger; 0: as they are made."""
    batch_size: int = 1
    styles: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    """What means nothing here, or another thing, and why."""


class Translator:
    """Makes requests of bodies.  From one thread."""

    def __init__(
        self, options: Callable[[], ServiceOptions], shelf: Shelf, uploads: Uploads
    ) -> None:
        self._options = options
        self._shelf = shelf
        self._uploads = uploads
        self.settings = Settings()

    def text_to_image(self, body: TextToImage) -> Wanted:
        """Raises SfumatoError: what is asked for makes no sense, or is not here."""
        wanted, request = self._common(body, "denoising_strength")
        request = self._sized(body, request, wanted, body if body.enable_hr else None)
        if not body.enable_hr and body.denoising_strength is not None:
            # Programs send the default of the second pass with every request.
            body = body.model_copy(update={"denoising_strength": None})
        scripts = body.alwayson_scripts or {}
        request = self._led(request, scripts, None, wanted)
        return self._spread(body, request, wanted)

    def image_to_image(self, body: ImageToImage) -> Wanted:
        """Raises SfumatoError: what is asked for makes no sense, or is not here."""
        wanted, request = self._common(body, "")
        sources = body.init_images or []
        if not sources:
            raise SfumatoError(ErrorKind.NOT_FOUND, "There is no init image; send one.")
        if len(sources) > limits.MAX_INIT_IMAGES:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"These are {len(sources)} init images; send {limits.MAX_INIT_IMAGES} at most.",
            )
        request = self._sized(body, request, wanted, None)
        if body.image_cfg_scale is not None:
            reading = self._shelf.reading(wanted.model)
            if reading.info is not None and reading.info.unet_kind == "instruct":
                request = replace(request, image_guidance_scale=body.image_cfg_scale)
        starts = [self._start(body, source, k) for k, source in enumerate(sources)]
        requests = [replace(request, start_image=start) for start in starts]
        scripts = body.alwayson_scripts or {}
        requests = [
            self._led(each, scripts, each.start_image.path if each.start_image else None, wanted)
            for each in requests
        ]
        return self._spread(body, requests[0], wanted, requests)

    # -- what both have -----------------------------------------------------------------------

    def _common(self, body: Generation, passed_over: str) -> tuple[Wanted, PictureRequest]:
        if body.script_name:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"There is no script “{body.script_name[:60]}” here; ask without a script.",
            )
        prompt, negative = body.prompt or "", body.negative_prompt or ""
        if max(len(prompt), len(negative)) > limits.MAX_PROMPT:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"A prompt has {limits.MAX_PROMPT} characters at most; send a shorter one.",
            )
        ignored = unused(body.model_extra)
        settings = self._overridden(body, ignored)
        model = self._model(body.override_settings or {})
        kept = not body.do_not_save_samples and body.save_images is not False
        sent = body.send_images is not False
        wanted = Wanted([], model, kept, sent, ignored=ignored)
        styles = self._styles(body, wanted)
        wanted.styles = [style.name for style in styles]
        prompt, negative = styled(prompt, negative, styles)
        options = self._options()
        request = new_request(
            prompt,
            model.folder,
            negative_prompt=negative,
            styles=tuple(styles),
            steps=body.steps,
            guidance_scale=body.cfg_scale,
            scheduler=self._scheduler(body, wanted),
            seed=_seed(body.seed),
            random_source=settings.random_source,
            clip_skip=settings.clip_skip,
            compute_unit=options.compute_unit,
            precision=options.precision,
            safety_checker=options.safety_checker,
            tiling=Tiling.BOTH if body.tiling else Tiling.OFF,
            output_dir=options.pictures_folder if kept else str(paths.answers_dir()),
        )
        if body.steps is not None and body.steps > limits.MAX_STEPS:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"A program may ask for {limits.MAX_STEPS} steps at most; send fewer.",
            )
        if body.subseed_strength:
            request = replace(
                request,
                variation_strength=body.subseed_strength,
                variation_seed=_seed(body.subseed),
            )
        if body.refiner_checkpoint and body.refiner_checkpoint != "None":
            refiner = self._shelf.find_model(body.refiner_checkpoint)
            switch = 0.8 if body.refiner_switch_at is None else body.refiner_switch_at
            if refiner.folder:
                request = replace(request, refiner=refiner.folder, refiner_switch_at=switch)
        return wanted, self._with_loras(body, request, wanted)

    def _overridden(self, body: Generation, ignored: dict[str, str]) -> Settings:
        given = dict(body.override_settings or {})
        settings = replace(self.settings)
        kept = body.override_settings_restore_afterwards is False
        left = self.apply(given, settings, choose=kept)
        ignored.update({f"override_settings.{name}"[:80]: why for name, why in left.items()})
        if kept:
            self.settings = replace(settings)
        return settings

    def apply(self, given: dict[str, Any], to: Settings, *, choose: bool) -> dict[str, str]:
        """Take over options of the web UI.

        Args:
            choose: whether the model counts from now on.

        Returns:
            Those that mean nothing here, and why.

        Raises:
            SfumatoError: NOT_FOUND for a model that is not here; BAD_REQUEST.
        """
        left: dict[str, str] = {}
        for name, value in given.items():
            if name == "sd_model_checkpoint":
                model = self._model(given)
                if choose:
                    self._shelf.choose(model)
            elif name == "CLIP_stop_at_last_layers":
                if not isinstance(value, int) or not 1 <= value <= 12:
                    raise SfumatoError(
                        ErrorKind.BAD_REQUEST,
                        "“CLIP_stop_at_last_layers” must be a whole number from 1 to 12; send one.",
                    )
                to.clip_skip = value
            elif name == "randn_source" and str(value).casefold() in _SOURCES:
                to.random_source = _SOURCES[str(value).casefold()]
            elif name in _SILENT_OPTIONS or (name == "sd_vae" and value in _NO_VAE):
                pass
            elif len(left) < 100:
                left[name[:80]] = "there is no such option here"
        return left

    def _model(self, options: dict[str, Any]) -> KnownModel:
        named = options.get("sd_model_checkpoint")
        return self._shelf.find_model(str(named)) if named else self._shelf.chosen

    def _scheduler(self, body: Generation, wanted: Wanted) -> str | None:
        name = body.sampler_name or body.sampler_index
        if not name:
            if body.scheduler and body.scheduler.casefold() not in ("automatic", "none"):
                wanted.ignored["scheduler"] = "it goes with a sampler_name"
            return None
        found, remark = our_scheduler(name, body.scheduler or "")
        if found is None:
            try:
                scheduler_name(name)  # says what is near
            except SfumatoError as error:
                raise SfumatoError(ErrorKind.NOT_FOUND, error.message, error.detail) from error
            raise SfumatoError(
                ErrorKind.NOT_FOUND, f"{remark.rstrip('.')}; choose one of /sdapi/v1/samplers."
            )
        if remark:
            wanted.ignored["scheduler"] = remark.rstrip(".")
        return found

    @staticmethod
    def _styles(body: Generation, wanted: Wanted) -> list[PromptStyle]:
        known = {style.name: style for style in styles()} if body.styles else {}
        for name in body.styles or ():
            if name not in known:
                wanted.ignored[f"styles: {name[:60]}"] = "there is no style of this name"
        return [known[name] for name in body.styles or () if name in known]

    def _with_loras(
        self, body: Generation, request: PictureRequest, wanted: Wanted
    ) -> PictureRequest:
        """LoRAs that the prompts name, as `gui.library.loras.with_tags`; never one by a path."""
        if body.disable_extra_networks:
            return loras.without_any(request)
        named = loras.with_tags(request)
        known = self._shelf.lora_names() if named.loras else set()
        for use in named.loras:
            if use.name.casefold() not in known:
                wanted.ignored[f"<lora:{use.name[:60]}>"] = "there is no LoRA of this name"
        kept = tuple(use for use in named.loras if use.name.casefold() in known)
        return replace(named, loras=kept)

    def _sized(
        self, body: Generation, request: PictureRequest, wanted: Wanted, hires: TextToImage | None
    ) -> PictureRequest:
        """The size to draw, and by how much to enlarge it then.  A model whose pictures are
        enlarged by themselves is asked for what comes out."""
        width, height = body.width, body.height
        if hires is None and width is None and height is None:
            return request
        for name, side in (("width", width), ("height", height)):
            if side is not None and side <= 0:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    f"The {name} must be a positive number of pixels, not {side}; send another.",
                )
        reading = self._shelf.reading(wanted.model)
        info, sidecar = reading.info, reading.sidecar
        assert info is not None
        own = wanted.drawn = info.image_width, info.image_height
        usual = sidecar.default_enlargement.factor if sidecar is not None else 1
        finished = own[0] * usual, own[1] * usual
        size = width or finished[0], height or finished[1]
        if hires is None and size == finished:
            return request
        if size in (own, finished):
            drawn: tuple[int, int] = own
        else:
            drawn = _nearest(size[0]), _nearest(size[1])
            if drawn != size:
                wanted.ignored["width, height"] = (
                    f"sides are multiples of {_STEP} pixels; it was made {drawn[0]} × {drawn[1]}"
                )
            request = replace(request, width=drawn[0], height=drawn[1])
        wanted.drawn = drawn
        factor = size[0] / drawn[0] if drawn == own else 1.0
        if hires is not None:
            factor *= _hires_scale(hires, size)
        return self._enlarged(request, factor, hires, wanted)

    def _enlarged(
        self, request: PictureRequest, factor: float, hires: TextToImage | None, wanted: Wanted
    ) -> PictureRequest:
        nearest = min(Enlargement, key=lambda each: abs(each.factor - factor))
        if hires is None:
            return replace(request, enlargement=nearest)
        if abs(nearest.factor - factor) > 0.01:
            nearest = _beyond(factor)
            if 1.0 < factor < nearest.factor:
                # Enlarged by a network, then scaled down, as the web UI does it.
                wanted.longest = round(max(wanted.drawn) * factor)
                kept = f"; {nearest} times as large in Sfumato" if wanted.kept else ""
                wanted.ignored["hr_scale"] = (
                    f"it was enlarged {nearest} times and scaled down to {factor:.4g}{kept}"
                )
            else:
                wanted.ignored["hr_scale"] = f"pictures are enlarged 1 to 4 times; it was {nearest}"
        request = replace(request, enlargement=nearest)
        named = hires.hr_upscaler or ""
        if named and not named.casefold().startswith(_PLAIN_RESIZERS):
            request = replace(request, upscaler=self._shelf.find_upscaler(named))
        elif named and named != "None":
            wanted.ignored["hr_upscaler"] = "pictures are enlarged by a network"
        strength = 0.7 if hires.denoising_strength is None else hires.denoising_strength
        return replace(request, detail_strength=strength)

    def _led(
        self,
        request: PictureRequest,
        scripts: dict[str, Any],
        start: str | None,
        wanted: Wanted,
    ) -> PictureRequest:
        for name, told in scripts.items():
            arguments = told.get("args") if isinstance(told, dict) else told
            if name.casefold() == "controlnet":
                units = arguments if isinstance(arguments, list) else [arguments]
                controls = controls_of(
                    units, start, self._shelf, wanted.model, self._uploads, wanted.ignored
                )
                request = replace(request, controls=controls)
            elif arguments not in (None, [], [False], {}):
                wanted.ignored[f"alwayson_scripts.{name[:60]}"] = "there is no such script here"
        return request

    @staticmethod
    def _spread(
        body: Generation,
        request: PictureRequest,
        wanted: Wanted,
        requests: list[PictureRequest] | None = None,
    ) -> Wanted:
        """A job for each iteration, so that it can be skipped; of several init images, for each."""
        each = requests or [request]
        rounds = 1 if body.n_iter is None else body.n_iter
        size = 1 if body.batch_size is None else body.batch_size
        per_round = max(size, len(each))
        if rounds < 1 or size < 1 or rounds * per_round > limits.MAX_PICTURES:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"One request makes 1 to {limits.MAX_PICTURES} pictures, n_iter times batch_size; "
                "send several for more.",
            )
        wanted.batch_size = per_round
        for number in range(rounds):
            first = number * per_round
            if len(each) == 1:
                wanted.requests.append(replace(request.single(first), count=per_round))
            else:
                wanted.requests += [each[k % len(each)].single(first + k) for k in range(per_round)]
        for one in wanted.requests:
            one.validate()
        return wanted

    # -- starting pictures --------------------------------------------------------------------

    def _start(self, body: ImageToImage, source: str, number: int) -> StartImage:
        name = f"init image {number + 1}"
        picture = self._uploads.read(decoded(source, name), name)
        strength = 0.75 if body.denoising_strength is None else body.denoising_strength
        mode = body.resize_mode or 0
        if mode not in (0, 1, 2, 3):
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, f"“resize_mode” must be 0, 1, 2 or 3, not {mode}."
            )
        mask = self._uploads.read(decoded(body.mask, "mask"), "mask") if body.mask else None
        whole = mask is None or body.inpaint_full_res is False
        if mask is not None:
            mask = _mask(mask)
            if mask.size != picture.size:
                mask = mask.resize(picture.size)
        if whole and body.width and body.height:
            size = _nearest(body.width), _nearest(body.height)
            picture = fitted(picture, size, mode)
            mask = fitted(mask, size, mode) if mask is not None else None
        path = str(self._uploads.keep(picture))
        if mask is None:
            return StartImage(path, strength)
        fill = body.inpainting_fill or 0
        if fill not in range(len(_FILL)):
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, f"“inpainting_fill” must be 0, 1, 2 or 3, not {fill}."
            )
        blur = next(
            (b for b in (body.mask_blur, body.mask_blur_x, body.mask_blur_y) if b is not None), 4
        )
        if blur < 0:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, f"“mask_blur” must be 0 or more, not {blur}; send another."
            )
        return StartImage(
            path,
            strength,
            mask=str(self._uploads.keep(mask)),
            mask_feather=min(round(_BLUR_REACH * blur), MAX_FEATHER),
            mask_inverted=bool(body.inpainting_mask_invert),
            masked_content=_FILL[fill],
            inpaint_area=InpaintArea.WHOLE if whole else InpaintArea.MASKED,
        )


_NO_VAE = ("", None, "None", "Automatic", "none", "automatic")
_SILENT_OPTIONS = {
    "samples_save", "grid_save", "samples_format", "save_images_add_number", "live_previews_enable",
    "show_progress_every_n_steps", "return_grid", "do_not_show_images", "enable_pnginfo",
    "sd_checkpoint_hash", "sd_checkpoint_cache", "filter_nsfw",
}  # fmt: skip


def styles() -> list[PromptStyle]:
    """Those that the person kept, and those that everybody has.  Blocking."""
    found = {style.name: style for style in BUILT_IN}
    for kept in PromptStore.default().load(ShelfName.STYLES, 500):
        style = style_of(kept.text)
        if style is not None:
            found[style.name] = style
    return list(found.values())


def style_of(text: str) -> PromptStyle | None:
    try:
        return records.loads(PromptStyle, text)
    except (ValueError, TypeError):
        return None


def _seed(value: int | None) -> int:
    """-1, and any below 0, is a random one; larger ones than there are wrap."""
    if value is None or value < 0:
        return secrets.randbelow(MAX_SEED + 1)
    return value % (MAX_SEED + 1)


def _nearest(side: int) -> int:
    return max(_STEP, round(side / _STEP) * _STEP)


def _beyond(factor: float) -> Enlargement:
    """The smallest enlargement that reaches so far, or the largest there is."""
    by_size = sorted(Enlargement, key=lambda each: each.factor)
    return next((each for each in by_size if each.factor >= factor), by_size[-1])


def _hires_scale(hires: TextToImage, size: tuple[int, int]) -> float:
    if hires.hr_resize_x or hires.hr_resize_y:
        wide = (hires.hr_resize_x or 0) / size[0]
        return max(wide, (hires.hr_resize_y or 0) / size[1])
    return 2.0 if hires.hr_scale is None else hires.hr_scale


def _mask(picture: PillowImage) -> PillowImage:
    """Grey, white where it is to be painted; of a picture with transparency, what is opaque, as web
    UIs read it."""
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() != (255, 255):
        return picture.getchannel("A")
    return picture.convert("L")


def fitted(picture: PillowImage, size: tuple[int, int], mode: int) -> PillowImage:
    """A picture in this size: stretched (0, 3), cropped (1), or whole with its edges drawn out
    (2), as the web UI's `resize_image`."""
    from PIL import Image, ImageOps

    if picture.size == size:
        return picture
    if mode == 1:
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    if mode == 2:
        inside = ImageOps.contain(picture, size, Image.Resampling.LANCZOS)
        left, top = (size[0] - inside.width) // 2, (size[1] - inside.height) // 2
        whole = picture.resize(size, Image.Resampling.BOX).copy()
        if left:  # the outermost columns, drawn out
            for x, column in ((0, 0), (left + inside.width, inside.width - 1)):
                strip = inside.crop((column, 0, column + 1, inside.height))
                wide = left if x == 0 else size[0] - x
                if wide:
                    whole.paste(strip.resize((wide, size[1])), (x, 0))
        if top:
            for y, row in ((0, 0), (top + inside.height, inside.height - 1)):
                strip = inside.crop((0, row, inside.width, row + 1))
                high = top if y == 0 else size[1] - y
                if high:
                    whole.paste(strip.resize((size[0], high)), (0, y))
        whole.paste(inside, (left, top))
        return whole
    return picture.resize(size, Image.Resampling.LANCZOS)
