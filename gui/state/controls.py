"""What leads the next picture: the draft's ControlNets, those that could be added, and what hinders
them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui.control_use import MAX_CONTROLS, Control, Preprocessor
from gui.coreml.control_fit import led_unet, misfit, remark, takes_controls
from gui.coreml.dialect import is_adapter
from gui.request import MAX_SIDE
from gui.state.control_previews import ControlPreview, ControlPreviews, PrepareControl
from gui.state.draft import CONTROLS, DraftState
from gui.state.networks import NetworkLibrary, Networks

if TYPE_CHECKING:
    from gui.coreml.model import ComponentInfo, ModelInfo
    from gui.state.model_entry import ModelEntry

__all__ = ["ControlChoice", "ControlDesk", "ControlPreview", "PrepareControl", "control_choices"]

_SUGGESTED = {
    "canny": Preprocessor.CANNY,
    "scribble": Preprocessor.SCRIBBLE,
    "sketch": Preprocessor.SCRIBBLE,
    "tile": Preprocessor.TILE,
    "blur": Preprocessor.BLUR,
    "inpaint": Preprocessor.INPAINT,
    "depth": Preprocessor.DEPTH,
    "recolor": Preprocessor.GREY,
    "color": Preprocessor.TILE,
    "lineart": Preprocessor.INVERT,
}
"""By words in a ControlNet's name."""
_WORDS = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class ControlChoice:
    """A ControlNet or T2I-Adapter that is here."""

    name: str
    kind: str
    """``ControlNet`` or ``T2I-Adapter``."""
    bytes: int
    misfit: str = ""
    """Why it cannot lead the model in use, in a sentence; empty: it can."""
    remark: str = ""
    """What is worth knowing of it; mostly empty."""


def control_choices(info: ModelInfo | None, networks: Networks) -> tuple[ControlChoice, ...]:
    """The model's own, then those of the library; of two of one name the first, as pictures are
    made with it."""
    own = info.controlnets if info is not None else ()
    found: dict[str, ControlChoice] = {}
    for network in (*own, *networks.controls):
        found.setdefault(network.name.casefold(), _choice(network, info))
    return tuple(found.values())


def _choice(network: ComponentInfo, info: ModelInfo | None) -> ControlChoice:
    kind = "T2I-Adapter" if is_adapter(network) else "ControlNet"
    why = known = ""
    if info is not None:
        why = misfit(network, info.components)
        unet = led_unet(info.components, network)
        known = remark(network, unet) if unet is not None and not why else ""
    return ControlChoice(network.name, kind, network.size_bytes, why, known)


def suggested(name: str, vision: bool) -> Preprocessor:
    """The preprocessor that suits a ControlNet of this name."""
    words = _WORDS.findall(name.lower())
    if vision and {"openpose", "pose"} & {*words}:
        return Preprocessor.POSE
    return next((kind for key, kind in _SUGGESTED.items() if key in words), Preprocessor.NONE)


class ControlDesk(QObject):
    """The draft's controls.

    Args:
        draft: has them.
        networks: lists what there is.
        in_use: the model in use.
    """

    changed = Signal()
    """The controls are others, or what is said of them."""

    def __init__(
        self,
        draft: DraftState,
        networks: NetworkLibrary,
        in_use: Callable[[], ModelEntry],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._draft = draft
        self.networks = networks
        self._in_use = in_use
        self.previews = ControlPreviews(self)
        self.choices: tuple[ControlChoice, ...] = ()
        networks.changed.connect(self.look_again)
        draft.changed.connect(self._on_draft)
        self.look_again()

    @property
    def controls(self) -> tuple[Control, ...]:
        return self._draft.draft.request.controls

    @property
    def start_picture(self) -> str:
        """Path of the draft's starting picture; empty: none."""
        start = self._draft.draft.request.start_image
        return start.path if start is not None else ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the next picture; zeros while its model is not known."""
        request, info = self._draft.draft.request, self._in_use().info
        own = (info.image_width, info.image_height) if info is not None else (0, 0)
        return request.width or own[0], request.height or own[1]

    @property
    def no_places(self) -> str:
        """Why nothing can lead the model in use, in a sentence; empty: something could."""
        entry = self._in_use()
        if entry.info is None:
            return ""
        unets = [c for kind, c in entry.info.components.items() if kind in ("unet", "control-unet")]
        fits = any(not choice.misfit for choice in self.choices)
        if not unets or fits or any(map(takes_controls, unets)):
            return ""
        return (
            f"“{entry.name}” takes no ControlNet: its UNet has no places for one; choose a "
            "model that has, or convert one with them."
        )

    def look_again(self) -> None:
        """The model or the library is another one."""
        self.choices = control_choices(self._in_use().info, self.networks.networks)
        self.changed.emit()

    def choice(self, control: Control) -> ControlChoice | None:
        """What a control's network is among those that are here."""
        name = control.network.casefold()
        return next((each for each in self.choices if each.name.casefold() == name), None)

    def problem(self, control: Control) -> str:
        """What hinders a control, in a sentence; empty: nothing."""
        if "/" in control.network or not self.networks.listed:
            return ""  # a file: the engine looks at it
        found = self.choice(control)
        if found is None:
            return f"“{control.network}” is not among your ControlNets; get it, or remove it here."
        return found.misfit

    # -- changing them ------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return len(self.controls) >= MAX_CONTROLS

    def add(self, name: str, picture: str = "") -> None:
        """Add a network by its name."""
        if not self.full:
            kind = suggested(name, self.networks.networks.vision)
            self._put((*self.controls, Control(name, picture, kind)), "Add ControlNet")

    def remove(self, place: int) -> None:
        """Take one off the list; undo brings it back."""
        rest = self.controls[:place] + self.controls[place + 1 :]
        self._put(rest, "Remove ControlNet")

    def switch(self, place: int, on: bool) -> None:
        """Have it lead, or not."""
        self._change(place, "Switch On" if on else "Switch Off", on=on)

    def set_picture(self, place: int, path: str) -> None:
        """Have another picture lead."""
        self._change(place, "Change Control Picture", picture=path)

    def set_preprocessor(self, place: int, kind: Preprocessor, network: str = "") -> None:
        """Have it prepared another way."""
        self._change(place, "", preprocessor=kind, preprocessor_network=network)

    def adjust(self, place: int, **values: object) -> None:
        """Change weight, range, balance or settings."""
        self._change(place, "", **values)

    def wish(self, control: Control) -> PrepareControl | None:
        """What its picture is to be made of; None: there is none, or the size is not known."""
        width, height = self.size
        if not control.picture or not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE:
            return None
        unit = self._draft.draft.request.compute_unit
        kind, network = control.preprocessor, control.preprocessor_network
        return PrepareControl(control.picture, width, height, kind, network, unit, control.settings)

    def preprocessor_networks(self) -> list[str]:
        """Names of the depth and line networks that are here."""
        return [each.name for each in self.networks.networks.maps if not each.problem]

    def close(self) -> None:
        """End what makes control pictures."""
        self.previews.close()

    def _change(self, place: int, what: str, **values: object) -> None:
        before = self.controls
        new = replace(before[place], **values)  # type: ignore[arg-type]
        if new != before[place]:
            self._put((*before[:place], new, *before[place + 1 :]), what)

    def _put(self, controls: tuple[Control, ...], what: str) -> None:
        draft = self._draft.draft.with_value(CONTROLS, controls)
        if what:
            self._draft.replace(draft, what)
        else:
            self._draft.put(draft)

    def _on_draft(self, name: str) -> None:
        if name in (CONTROLS, "width", "height"):
            self.changed.emit()


def name_of(control: Control) -> str:
    """What a control's network is called."""
    return Path(control.network).stem if "/" in control.network else control.network
