"""The variant of a model that a request asks for: with its LoRAs, of its size, with the clip skip;
made on demand.

So are ControlNets of another size than the picture's.  A variant that Core ML refuses is noted, and
not tried again on the same system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import paths
from gui.convert.types import ImageSize, Lora
from gui.coreml.control_fit import picture_shape
from gui.coreml.model import ComponentInfo, ComponentKind, Family, ModelInfo
from gui.coreml.tiles import tile_of, wants_tiles
from gui.errors import ErrorKind, SfumatoError
from gui.library import loras, variants
from gui.request import ComputeUnit, PictureRequest
from gui.versions import system

if TYPE_CHECKING:
    from gui.coreml.loaded import LoadedModel, Runtime

_VAE = (ComponentKind.VAE_ENCODER, ComponentKind.VAE_DECODER)


@dataclass(frozen=True)
class Variant:
    """A model with LoRAs or of another size, which may not have been made."""

    model: Path
    """The folder of the model it is made from."""
    folder: Path
    loras: tuple[Lora, ...]
    size: ImageSize | None
    """None: the model's own."""
    name: str
    """The model's."""
    clip_skip: int = 1
    """Up to which layer from the end its text encoders are to give their states; 1: as they do."""

    def ensure(self, tick: Callable[[], None]) -> Path:
        """Make it if it is not there.

        Args:
            tick: called now and then; may raise to stop.

        Raises:
            SfumatoError: as `gui.convert.patch.variant.make_variant`.
        """
        if why := variants.refusal(self.folder, system()):
            raise self.refused(why)
        if not self.folder.is_dir():
            from gui.convert.patch.variant import make_variant

            try:
                make_variant(
                    self.model,
                    self.folder,
                    self.loras,
                    self.size,
                    clip_skip=self.clip_skip,
                    name=self.name,
                    linked=True,
                    tick=lambda _fraction: tick(),
                )
            except SfumatoError:
                if not self.folder.is_dir():  # another process may have made it meanwhile
                    raise
        variants.remember(self.model, self.folder)
        return self.folder

    def refused(self, why: str) -> SfumatoError:
        """What to tell a person where Core ML does not take it."""
        changes = ["with LoRAs in its weights"] if self.loras else []
        changes += [f"at {self.size.width} × {self.size.height} pixels"] if self.size else []
        changes += [f"with a clip skip of {self.clip_skip}"] if self.clip_skip > 1 else []
        return SfumatoError(
            ErrorKind.CHANGED_MODEL,
            f"Core ML refuses “{self.name}” {' and '.join(changes)}; use the model as it is, or "
            "get it as “.mlpackage” files.",
            why,
        )


def fitted(network: ComponentInfo, unet: ComponentInfo) -> ComponentInfo:
    """A ControlNet for the size of a UNet's pictures: itself, or one resized, which is made if it
    is not there.

    Raises:
        SfumatoError: UNSUPPORTED where it cannot be resized, BAD_MODEL where it is damaged, STORAGE
            where there is no room.
    """
    old, size = network_size(network), network_size(unet)
    if old is None or size is None or old == size:
        return network
    return _resized(network, old, size)


def with_tiles(info: ModelInfo, *, sparing: bool) -> ModelInfo:
    """A model with a VAE for the tiles in which its pictures are decoded, where they are too large
    for being decoded whole; itself where they are not, or the VAE cannot be resized.

    Args:
        sparing: memory is short.

    Raises:
        SfumatoError: STORAGE where there is no room for it.
    """
    whole = ImageSize(info.image_width, info.image_height)
    if not wants_tiles(whole.width, whole.height, sparing):
        return info
    tile = ImageSize(*tile_of(whole.width, whole.height))
    made = dict(info.components)
    for kind in _VAE:
        component = info.components.get(kind)
        if component is None or component.is_flexible:
            continue
        try:
            made[kind] = _resized(component, whole, tile)
        except SfumatoError as error:
            if error.kind is ErrorKind.STORAGE:
                raise
    return replace(info, components=made)


def _resized(network: ComponentInfo, old: ImageSize, size: ImageSize) -> ComponentInfo:
    """A network for another size of pictures, which is made if it is not there.

    Raises:
        SfumatoError: as `fitted`; CHANGED_MODEL where Core ML has refused it.
    """
    from gui.convert.patch.network import make_network
    from gui.coreml.inspect import component_of, describe_file
    from gui.coreml.names import FileRole

    stamps = [_stamp(str(f)) for path in network.files for f in sorted(path.rglob("*"))]
    folder = variants.place(network.files[0], {"size": [size.width, size.height], "files": stamps})
    if why := variants.refusal(folder, system()):
        raise _refused_network(network, size, why)
    if not folder.is_dir():
        try:
            make_network(network, folder, old, size)
        except SfumatoError as error:
            if not folder.is_dir():  # another process may have made it meanwhile
                raise _unfit(network, old, size, error) from error
    variants.remember(network.files[0], folder)
    parts = tuple(describe_file(folder / path.name) for path in network.files)
    return component_of(FileRole(network.kind, prefix=network.name), parts)


def network_size(network: ComponentInfo) -> ImageSize | None:
    """The size of the pictures that a network works on; None where it takes several."""
    sample = network.input("sample")
    shape, scale = (sample.shape, 8) if sample is not None else (picture_shape(network), 1)
    height, width = shape[2:] if len(shape) == 4 else (None, None)
    return ImageSize(scale * width, scale * height) if height and width else None


def _refused_network(network: ComponentInfo, size: ImageSize | None, why: str) -> SfumatoError:
    if network.kind in _VAE:
        return SfumatoError(
            ErrorKind.CHANGED_MODEL,
            "Core ML refuses the model’s VAE in tiles; try again, and pictures are decoded whole.",
            why,
        )
    name = network.name
    made = f" for {size.width} × {size.height} pixels" if size else ""
    return SfumatoError(
        ErrorKind.CHANGED_MODEL,
        f"Core ML refuses the ControlNet “{name}” when it is made one{made}; choose the size it "
        "was made for, or get it as an “.mlpackage”.",
        why,
    )


class WatchedRuntime:
    """A runtime that tells where Core ML refuses files that were changed here, and has it noted, so
    that they are not tried again.

    Args:
        runtime: loads the networks.
        variant: whose networks they may be.
    """

    def __init__(self, runtime: Runtime, variant: Variant | None) -> None:
        self._runtime = runtime
        self._variant = variant

    @property
    def name(self) -> str:
        return self._runtime.name

    def load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> LoadedModel:
        """As `Runtime.load`.

        Raises:
            SfumatoError: also CHANGED_MODEL.
        """
        try:
            return self._runtime.load(component, compute_unit)
        except SfumatoError as error:
            folder = component.files[0].parent
            if error.kind is not ErrorKind.BAD_MODEL or paths.variants_dir() not in folder.parents:
                raise
            why = f"{error.message} {error.detail}".strip()
            variants.refuse(folder, system(), why)
            if self._variant is not None and folder == self._variant.folder:
                raise self._variant.refused(why) from error
            raise _refused_network(component, network_size(component), why) from error


def _unfit(
    network: ComponentInfo, old: ImageSize, size: ImageSize, error: SfumatoError
) -> SfumatoError:
    if error.kind is not ErrorKind.UNSUPPORTED:
        return error
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"The ControlNet “{network.name}” is for pictures of {old.width} × {old.height} pixels and "
        f"cannot be made one for {size.width} × {size.height}; choose its size, or another "
        "ControlNet.",
        error.message,
    )


def variant_of(
    request: PictureRequest, info: ModelInfo, name: str, identity: str
) -> Variant | None:
    """The variant that a request asks for; None where it is the model itself.

    Args:
        identity: the model's hash.

    Raises:
        SfumatoError: NOT_FOUND for a LoRA that is not there; BAD_REQUEST for a size that none is.
    """
    from gui.convert.patch.resizing import check_size

    used = [use for use in request.loras if use.on and (use.weight or use.text_encoder_weight)]
    chosen = tuple(Lora(str(loras.find(u.name)), u.weight, u.text_encoder_weight) for u in used)
    native = ImageSize(info.image_width, info.image_height)
    size = ImageSize(request.width or native.width, request.height or native.height)
    if info.sizes is not None:  # its networks draw others as they are
        info.sizes.check((size.width, size.height))
        size = native
    skip = _clip_skip_to_add(request.clip_skip, info)
    if not chosen and size == native and skip == 1:
        return None
    if size != native:
        check_size(size)
    what: dict[str, Any] = {
        "model": identity,
        "size": [size.width, size.height],
        "loras": [[*_stamp(lora.path), lora.scale, lora.text_scale] for lora in chosen],
    }
    if skip > 1:
        what["clip_skip"] = skip
    folder = variants.place(info.folder, what)
    return Variant(info.folder, folder, chosen, None if size == native else size, name, skip)


def _clip_skip_to_add(layers: int, info: ModelInfo) -> int:
    """The clip skip that a model's text encoders are to be given; 1: none, since they have it, or
    cannot be given it, which the picture then says."""
    from gui.convert.patch.clip_skip import with_clip_skip

    kinds = (ComponentKind.TEXT_ENCODER, ComponentKind.TEXT_ENCODER_2)
    encoders = [info.components[kind] for kind in kinds if kind in info.components]
    own = 2 if info.family is Family.SDXL else 1
    if layers <= max(own, info.clip_skip):
        return 1
    try:
        for encoder in encoders:
            with_clip_skip(encoder, layers)
    except SfumatoError:
        return 1
    return layers


def _stamp(path: str) -> tuple[str, int, int]:
    status = Path(path).stat()
    return path, status.st_size, status.st_mtime_ns


class VariantPipeline:
    """A pipeline whose model is made when it is loaded.

    Args:
        variant: the model.
        open_model: makes the pipeline of a folder.
    """

    def __init__(self, variant: Variant, open_model: Callable[[Path], Any]) -> None:
        self._variant = variant
        self._open = open_model
        self._pipeline: Any = None

    def load(self, on_loading: Callable[[str, int, int], None], request: PictureRequest) -> None:
        """Make the variant if it is not there, and load what `request` needs of it."""
        if self._pipeline is None:
            on_loading("variant", 0, 1)
            folder = self._variant.ensure(lambda: on_loading("variant", 0, 1))
            self._pipeline = self._open(folder)
        self._pipeline.load(on_loading, request)

    def generate(self, request: PictureRequest, hooks: Any) -> Iterator[Any]:
        return self._pipeline.generate(request, hooks)

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()
