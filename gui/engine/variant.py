"""The variant of a model that a request asks for: with its LoRAs, of its size; made on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gui.convert.types import ImageSize, Lora
from gui.coreml.model import ModelInfo
from gui.library import loras, variants
from gui.request import PictureRequest


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

    def ensure(self, tick: Callable[[], None]) -> Path:
        """Make it if it is not there.

        Args:
            tick: called now and then; may raise to stop.

        Raises:
            SfumatoError: as `gui.convert.patch.variant.make_variant`.
        """
        if not self.folder.is_dir():
            from gui.convert.patch.variant import make_variant

            make_variant(
                self.model,
                self.folder,
                self.loras,
                self.size,
                name=self.name,
                linked=True,
                tick=lambda _fraction: tick(),
            )
        variants.remember(self.model, self.folder)
        return self.folder


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
    if not chosen and size == native:
        return None
    if size != native:
        check_size(size)
    what: dict[str, Any] = {
        "model": identity,
        "size": [size.width, size.height],
        "loras": [[*_file(lora.path), lora.scale, lora.text_scale] for lora in chosen],
    }
    folder = variants.place(info.folder, what)
    return Variant(info.folder, folder, chosen, None if size == native else size, name)


def _file(path: str) -> tuple[str, int, int]:
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
