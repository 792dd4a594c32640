"""The styles there are: everybody's and the person's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui.errors import ErrorKind, SfumatoError
from gui.library.style_files import SUFFIXES, is_style_file, read_style_file
from gui.state.background import Background
from gui.state.draft import DraftState
from gui.state.prompts.shelf import Shelf
from gui.styles import BUILT_IN, PLACEHOLDER, PromptStyle

__all__ = ["PLACEHOLDER", "SUFFIXES", "PromptStyle", "StyleLibrary", "is_style_file"]

STYLES = "styles"
"""The field of a request."""


class StyleLibrary(QObject):
    """Styles by name.  Those that are on are in the draft, whole, so that what is edited or
    deleted here takes nothing from a prompt.

    Args:
        shelf: the person's own, by name.
        draft: has those that are on.
        background: reads files.
    """

    changed = Signal()
    """There are others now, or one says something else."""

    def __init__(
        self,
        shelf: Shelf[PromptStyle],
        draft: DraftState,
        background: Background,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.shelf = shelf
        self._draft = draft
        self._background = background
        self._known = self._by_name()
        shelf.changed.connect(self._on_changed)

    def _by_name(self) -> dict[str, PromptStyle]:
        styles = {style.name: style for style in BUILT_IN}
        return styles | {entry.key: entry.value for entry in self.shelf.entries()}

    def styles(self) -> list[PromptStyle]:
        """Every style, by name."""
        return sorted(self._known.values(), key=lambda style: style.name.casefold())

    def find(self, name: str) -> PromptStyle | None:
        """The style of a name, whatever its case."""
        same = (s for s in self._known.values() if s.name.casefold() == name.casefold())
        return next(same, None)

    def is_own(self, name: str) -> bool:
        """Whether the person made or changed it, so that it can be deleted."""
        return self.shelf.get(name) is not None

    # -- those that are on --------------------------------------------------------------------

    def on(self) -> tuple[PromptStyle, ...]:
        return self._draft.draft.request.styles

    def toggle(self, style: PromptStyle) -> None:
        """Put a style around the prompt, or take it off."""
        on = tuple(one for one in self.on() if one.name != style.name)
        self._draft.set(STYLES, on if len(on) < len(self.on()) else (*on, style))

    # -- changes ------------------------------------------------------------------------------

    def keep(self, style: PromptStyle, before: PromptStyle | None) -> None:
        """Keep a new style, or another version of one, which may have another name.

        Raises:
            SfumatoError: BAD_REQUEST where another style has the name, or it has none.
        """
        name = " ".join(style.name.split())
        if not name:
            raise SfumatoError(ErrorKind.BAD_REQUEST, "A style needs a name; type one.")
        same = self.find(name)
        if same is not None and (before is None or same.name != before.name):
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"There is a style “{same.name}” already; choose another name.",
            )
        style = PromptStyle(name, style.prompt.strip(), style.negative_prompt.strip())
        if style == before:
            return
        old = [before.name] if before is not None and before.name != name else []
        old = [key for key in old if self.is_own(key)]
        self.shelf.change({name: style}, old, "New Style" if before is None else "Edit Style")

    def delete(self, name: str) -> None:
        """Forget the person's own style; everybody's of that name comes back."""
        self.shelf.remove([name], "Delete Style")

    def free_name(self) -> str:
        """A name for a new style."""
        names = ("New Style", *(f"New Style {number}" for number in range(2, 10_000)))
        return next(name for name in names if self.find(name) is None)

    def read(
        self,
        paths: Sequence[str],
        then: Callable[[str], object],
        failed: Callable[[SfumatoError], object],
    ) -> None:
        """Take the styles of files of other programs.

        Args:
            then: told in a sentence what came of each file.
            failed: told why one could not be read.
        """
        for path in paths:
            self._background.run(
                lambda path=path: read_style_file(Path(path)),
                lambda styles, path=path: then(self._take(styles, Path(path).name)),
                failed,
            )

    def _take(self, styles: list[PromptStyle], name: str) -> str:
        kept: dict[str, PromptStyle] = {}
        for style in styles:
            there = self.find(style.name)
            as_there = there.name if there is not None else style.name
            style = PromptStyle(as_there, style.prompt, style.negative_prompt)
            if style != there:
                kept[as_there] = style
        replaced = sum(1 for key in kept if self.find(key) is not None)
        self.shelf.change(kept, (), "Import Styles")
        return _told(len(styles), len(kept) - replaced, replaced, name)

    def _on_changed(self) -> None:
        """A style that is on follows its new version, unless it was another one before."""
        before, self._known = self._known, self._by_name()
        on = tuple(
            self._known.get(one.name, one) if one == before.get(one.name) else one
            for one in self.on()
        )
        if on != self.on():  # a part of the step that changed the style
            self._draft.put(self._draft.draft.with_value(STYLES, on))
        self.changed.emit()


def _told(found: int, new: int, replaced: int, name: str) -> str:
    if not new and not replaced:
        return f"The styles in “{name}” are all here already."
    parts = [f"{new} new"] if new else []
    parts += [f"{replaced} in place of older ones"] if replaced else []
    same = found - new - replaced
    parts += [f"{same} that were here already"] if same else []
    return f"Styles from “{name}”: {', '.join(parts)}."
