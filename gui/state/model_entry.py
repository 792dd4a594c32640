"""One model as the window shows it: what its card says, and what tells it from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import words
from gui.coreml import few_steps
from gui.coreml.client import ModelReader
from gui.coreml.defaults import default_scheduler, shown_defaults, with_loras
from gui.coreml.model import ComponentKind, Family
from gui.hub.machine import this_machine
from gui.hub.types import Machine
from gui.hub.variants.verdict import memory_of
from gui.picture_sizes import PictureSizes
from gui.request import LoraUse

if TYPE_CHECKING:
    from gui.coreml.model import ModelInfo
    from gui.coreml.sidecar import Sidecar


@dataclass(frozen=True)
class ModelEntry:
    """One model in the list.  `info` is None until it has been read, or when it cannot be."""

    folder: Path
    starter: bool = False
    added: bool = False
    """Added by reference: removing it from the list leaves the files alone."""
    info: ModelInfo | None = None
    sidecar: Sidecar | None = None
    problem: str = ""
    """Why it cannot be used, in one sentence; empty when it can, or while it is read."""
    update: str = ""
    """Newer revision on the Hub; empty: none is known."""
    mark: str = ""
    """What tells it from others in the list that look the same; empty: nothing needs to."""

    memory: int = 0
    """Bytes it is expected to take while it works; 0: not known."""
    identity: str = ""
    """What its pictures name it by (`gui.coreml.inspect.model_hash`); empty: not known."""

    @property
    def home(self) -> str:
        """Where it is from, if not from the Hub."""
        if self.starter:
            return "Comes with Sfumato"
        return "" if self.repo or not self.added else "A folder that you added"

    @property
    def repo(self) -> str:
        """Repository on the Hub it was fetched from; empty: it came another way."""
        return self.sidecar.source_repo if self.sidecar is not None and self._hub else ""

    @property
    def revision(self) -> str:
        """Commit it was fetched at."""
        return self.sidecar.source_revision if self.sidecar is not None and self._hub else ""

    @property
    def variant(self) -> str:
        """`gui.hub.types.Variant.id` of what was fetched."""
        return str(self._hub.get("variant", ""))

    @property
    def variant_title(self) -> str:
        """What was fetched, for people."""
        return str(self._hub.get("title", "")) or self.variant

    @property
    def _hub(self) -> dict[str, Any]:
        """What the download noted in the sidecar."""
        return self.sidecar.noted("hub") if self.sidecar is not None else {}

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return self.info.size_bytes if self.info is not None else 0

    @property
    def removable(self) -> bool:
        """Whether its files may go to the Trash: every model but the starter."""
        return not self.starter

    @property
    def reading(self) -> bool:
        return self.info is None and not self.problem

    @property
    def usable(self) -> bool:
        return self.info is not None and not self.problem

    @property
    def name(self) -> str:
        if self.sidecar is not None and self.sidecar.name not in ("", self.folder.name):
            return self.sidecar.name
        if self.starter:
            return "Sfumato Starter"
        return self.info.name if self.info is not None and self.info.name else self.folder.name

    @property
    def request_folder(self) -> str:
        """What `PictureRequest.model` says for this model: empty for the starter."""
        return "" if self.starter else str(self.folder)

    @property
    def examples(self) -> tuple[str, ...]:
        return self.sidecar.card.examples if self.sidecar is not None else ()

    @property
    def has_encoder(self) -> bool:
        return self.info is not None and self.info.has_image_to_image

    @property
    def holds_refiner(self) -> bool:
        """Whether a refiner lies in its folder."""
        return self.info is not None and ComponentKind.REFINER in self.info.components

    @property
    def takes_refiner(self) -> bool:
        """Whether a refiner can make its last steps."""
        return self.info is not None and self.info.family is Family.SDXL

    @property
    def fixed_size(self) -> str:
        """Why its pictures have one size alone; empty: they may have others."""
        is_sliced = self.info is not None and self.info.attention.value == "split_einsum_v2"
        if is_sliced and self.sizes is None:
            return "Set by the model: SPLIT_EINSUM_V2 cuts pictures into slices of a fixed width."
        return ""

    @property
    def sizes(self) -> PictureSizes | None:
        """The sizes that it draws as it is; None: one, and it is made anew for others."""
        return self.info.sizes if self.info is not None else None

    @property
    def has_safety_checker(self) -> bool:
        parts = self.info.components if self.info is not None else {}
        return any(kind.value == "safety_checker" for kind in parts)

    @property
    def origin(self) -> str:
        """Whose it is on the Hub, with the repository's name where the model has another one."""
        owner, _, name = self.repo.partition("/")
        return owner if self.name in (name, self.repo) else self.repo

    def source_line(self) -> str:
        """Where it is from, and what tells it apart; empty: neither is worth a line."""
        return " · ".join(part for part in (self.origin, self.mark) if part)

    def subtitle(self) -> str:
        """The card's second line: family, picture size, size on disk."""
        if self.info is None:
            return "Reading…" if self.reading else "Cannot be read"
        if not self.info.components:
            return "No model here"
        family = words.short_family(self.info.family)
        size = words.size(self.info.size_bytes)
        pixels = words.pixels(self.info.image_width, self.info.image_height)
        if self.info.sizes is not None:
            pixels = self.info.sizes.span()
        return f"{family} · {pixels} px · {size}"

    def facts(self) -> str:
        """The card's third line: attention and compression."""
        if self.info is None or not self.info.components:
            return ""
        known = self.info.attention.value != "unknown"
        parts = [words.attention(self.info.attention)] if known else []
        return " · ".join([*parts, words.compression(self.info.compression)])


def scheduler_with(entry: ModelEntry | None, loras: Sequence[LoraUse]) -> str:
    """The scheduler that is used where none is chosen; empty: it is not known yet."""
    if entry is None or entry.sidecar is None:
        return ""
    few = few_steps.of_loras(_names_on(loras))
    stated = entry.sidecar.default_scheduler
    return default_scheduler(with_loras(entry.sidecar, _names_on(loras))) if few else stated


def _names_on(loras: Sequence[LoraUse]) -> list[str]:
    on = (use.name for use in loras if use.on and use.weight > 0)
    return [Path(name).name.removesuffix(".safetensors") for name in on]


def default_values(
    entry: ModelEntry | None, scheduler: str | None, loras: Sequence[LoraUse] = ()
) -> dict[str, int | float | str]:
    """What will be used where nothing is chosen, by the names of the request's fields.

    Args:
        entry: the model; None: it is not known yet.
        scheduler: what is chosen; None: the model's own.
        loras: what the picture is made with; one that distils the model to a few steps says how
            many, and how much guidance.
    """
    sidecar = entry.sidecar if entry is not None else None
    found = shown_defaults(sidecar, scheduler, _names_on(loras))
    info = entry.info if entry is not None else None
    if info is not None and info.image_width > 0:
        found |= {"width": info.image_width, "height": info.image_height}
    return found


def read_entry(entry: ModelEntry, reader: ModelReader) -> ModelEntry:
    """Have the entry's folder read.  Blocking; touches no Qt object, never raises for a bad
    model."""
    found = reader.read(entry.folder)
    memory = memory_of(found.info, machine()) if found.info is not None else 0
    return replace(
        entry,
        info=found.info,
        sidecar=found.sidecar,
        problem=found.problem,
        memory=memory,
        identity=found.identity,
    )


@cache
def machine() -> Machine:
    """This one, as it was when it was first asked about."""
    return this_machine()


def marks_of(entries: list[ModelEntry]) -> list[str]:
    """`ModelEntry.mark` of each: where several would look the same, the words of its variant that
    the card does not say already, else its place on the disk.  Takes time in proportion to the
    number of entries."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for k, entry in enumerate(entries):
        look = (entry.name, entry.origin, entry.subtitle(), entry.facts())
        alike.setdefault(look, []).append(k)
    marks = [""] * len(entries)
    for group in alike.values():
        if len(group) < 2:
            continue
        told = [k for k in group if not entries[k].starter]
        for tell in (_own_words, _folder_name, _place):
            found = [tell(entries[k]) for k in told]
            if all(found) and len(set(found)) == len(found):
                for k, text in zip(told, found, strict=True):
                    marks[k] = "" if text == entries[k].name else text
                break
    return marks


def _own_words(entry: ModelEntry) -> str:
    said = entry.facts().lower()
    parts = [part for part in entry.variant_title.split(" · ") if part.lower() not in said]
    return " · ".join(parts)


def _folder_name(entry: ModelEntry) -> str:
    return entry.folder.name


def _place(entry: ModelEntry) -> str:
    return f"{entry.folder.parent.name}/{entry.folder.name}"
