"""What there is to make pictures with, by the names that other programs use: models, LoRAs,
upscalers, ControlNets.  Never a path: what is no name of something that is here is refused.

Blocking, and from one thread; descriptions of models are read in a process of their own, which ends
afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gui import paths, words
from gui.coreml.client import ModelReader
from gui.coreml.messages import ListNetworks, NetworkFacts, Networks, Reading
from gui.errors import ErrorKind, SfumatoError, unusable
from gui.library import loras
from gui.library.models.folders import model_folders
from gui.serve.messages import ServiceOptions

STARTER = "Sfumato Starter"
_MOST = 6
"""Names that a refusal lists."""
WEB_UI_UPSCALERS = {
    "r-esrgan 4x+": "Photographs x4",
    "r-esrgan 4x+ anime6b": "Drawings x4",
    "r-esrgan general 4xv3": "Photographs x4",
}
"""The web UI's names for networks that ship with the app."""


@dataclass(frozen=True)
class KnownModel:
    """A model that can be asked for."""

    name: str
    folder: str
    """What `PictureRequest.model` says; empty for the starter model."""


class Shelf:
    """Args:
    options: tells the present ones.
    """

    def __init__(self, options: Callable[[], ServiceOptions]) -> None:
        self._options = options
        self._reader = ModelReader()
        self._chosen: str | None = None
        self._networks: Networks | None = None

    def close(self) -> None:
        self._reader.close()

    # -- models -------------------------------------------------------------------------------

    def models(self) -> list[KnownModel]:
        """Every model, the starter first; those of one name are numbered."""
        root = paths.models_dir()
        found = [KnownModel(STARTER, "")]
        folders = dict.fromkeys([*model_folders(root), *map(Path, self._options().model_folders)])
        taken = Counter([STARTER.casefold()])
        for folder in folders:
            inside = folder.is_relative_to(root)
            name = "/".join(folder.relative_to(root).parts) if inside else folder.name
            name = name.replace("--", "/", 1) if inside else name
            alike = taken[name.casefold()]
            taken[name.casefold()] += 1
            found.append(KnownModel(f"{name} ({alike + 1})" if alike else name, str(folder)))
        return found

    def find_model(self, text: str) -> KnownModel:
        """The model of this name, in any case; also by the last part of it, or with a hash in
        brackets behind it, as web UIs write it.

        Raises:
            SfumatoError: NOT_FOUND.
        """
        wanted = text.strip().rpartition(" [")[0] or text.strip()
        wanted = wanted.casefold().removesuffix(".safetensors").removesuffix(".ckpt")
        known = self.models()
        by_name = [model for model in known if model.name.casefold() == wanted]
        by_end = [model for model in known if model.name.casefold().split("/")[-1] == wanted]
        if wanted and (by_name or len(by_end) == 1):
            return (by_name or by_end)[0]
        if wanted == "starter":
            return known[0]
        raise _unknown("model", text, [model.name for model in known])

    @property
    def chosen(self) -> KnownModel:
        """The model of requests that name none."""
        folder = self._options().model if self._chosen is None else self._chosen
        for model in self.models():
            if model.folder == folder:
                return model
        return KnownModel(Path(folder).name, folder)

    def choose(self, model: KnownModel) -> None:
        self._chosen = model.folder

    def reading(self, model: KnownModel) -> Reading:
        """What a model says of itself.

        Raises:
            SfumatoError: BAD_MODEL where it cannot be used.
        """
        folder = Path(model.folder) if model.folder else paths.starter_model()
        try:
            found = self._reader.read(folder)
        finally:
            self._reader.stop()
        if found.problem:
            raise unusable(found.problem)
        return found

    # -- what goes with them ------------------------------------------------------------------

    def networks(self, *, anew: bool = False) -> Networks:
        """Upscalers, ControlNets and map networks.

        Raises:
            SfumatoError: they could not be read.
        """
        if self._networks is None or anew:
            try:
                self._networks = self._reader.ask(ListNetworks())
            finally:
                self._reader.stop()
        return self._networks

    def upscalers(self) -> list[NetworkFacts]:
        return [each for each in self.networks().upscalers if not each.problem]

    def find_upscaler(self, text: str) -> str:
        """Raises SfumatoError: NOT_FOUND."""
        wanted = WEB_UI_UPSCALERS.get(text.casefold(), text).casefold()
        known = [each.name for each in self.upscalers()]
        for name in known:
            if name.casefold() == wanted:
                return name
        raise _unknown("upscaler", text, known)

    def control_networks(self, model: KnownModel) -> list[str]:
        """Names of the ControlNets: the model's own, and those of the library."""
        own = self.reading(model).info
        found = [each.name for each in own.controlnets] if own is not None else []
        found += [each.name for each in self.networks().controls]
        return list(dict.fromkeys(found))

    def find_control_network(self, text: str, model: KnownModel) -> str:
        """Raises SfumatoError: NOT_FOUND."""
        wanted = (text.strip().rpartition(" [")[0] or text.strip()).casefold()
        known = self.control_networks(model)
        for name in known:
            if name.casefold() == wanted:
                return name
        raise _unknown("ControlNet", text, known)

    @staticmethod
    def lora_names() -> set[str]:
        """In lower case."""
        return {entry.name.casefold() for entry in loras.entries()}


def _unknown(what: str, text: str, known: list[str]) -> SfumatoError:
    shown = words.shortened(words.plain(text), 60)
    if not known:
        return SfumatoError(
            ErrorKind.NOT_FOUND,
            f"There is no {what} called “{shown}”, and no other either; install one in Sfumato.",
        )
    more = ", …" if len(known) > _MOST else ""
    listed = ", ".join(f"“{name}”" for name in known[:_MOST])
    return SfumatoError(
        ErrorKind.NOT_FOUND, f"There is no {what} called “{shown}”; choose {listed}{more}."
    )
