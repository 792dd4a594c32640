"""The mask of the picture on the canvas: whose it is, where it is kept, what takes a change back.

A mask belongs to one picture, and both belong to the draft: the first stroke on a picture makes it
the starting picture.  A picture that was made from that one is another try at it: it shows the
mask of the starting picture, which can be painted on there as well.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QRect, QSize, QTimer, Signal
from PySide6.QtGui import QImage

from gui.errors import SfumatoError
from gui.start_image import MASK_ALPHA, InpaintArea
from gui.state.background import Background
from gui.state.canvas import mask_files
from gui.state.canvas.mask_image import MaskImage

if TYPE_CHECKING:
    from gui.state.draft import Draft, DraftState
    from gui.state.pictures.origin import Origin
    from gui.state.undo import UndoStack

STROKE_MS = 60
"""During a stroke, before what there is of it is told to Live."""
MOST_FOLLOWED = 16_000_000
"""Pixels of a mask whose strokes are told: a larger one takes too long to be copied."""
PAUSE_MS = 300
"""After the last change, before the mask is written."""
START, FILE, INVERTED = "start_image.path", "start_image.mask", "start_image.mask_inverted"
AREA = "start_image.inpaint_area"
_FIELDS = (START, FILE, INVERTED)


class PaintedMask:
    """A mask, and the picture it lies on.

    Args:
        picture: path.
        image: its pixels, as many as the picture's.
        file: where they are kept; empty: not yet, or nothing is masked.
    """

    def __init__(self, picture: str, image: MaskImage, file: str = "") -> None:
        self.picture = picture
        self.image = image
        self.file = file
        self.changed = False
        """Whether it is another one than that in its file."""


class MaskState(QObject):
    """What is painted.  Pixels are changed between `begin` and `end`, on the window's thread; files
    are read and written by a worker.

    Args:
        draft: gets picture and mask.
        undo: gets a step for each change.
        origin_of: calls back with what made the picture at a path.
    """

    changed = Signal(QRect)
    """So much of the mask on show is something else now; a null rectangle: all of it."""
    sketched = Signal()
    """So much of a stroke that is being drawn can be seen in `as_painted`."""
    failed = Signal(SfumatoError)

    def __init__(
        self,
        draft: DraftState,
        undo: UndoStack,
        origin_of: Callable[[str, Callable[[Origin], object]], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.area_for: Callable[[QSize], InpaintArea | None] = lambda _size: None
        """What of a picture of this size is best drawn; None: as it was before."""
        self._draft = draft
        self._undo = undo
        self._origin_of = origin_of
        self._background = Background(self)
        self._drafted: PaintedMask | None = None  # that of the draft
        self._edited: PaintedMask | None = None
        self._path, self._size = "", QSize()  # of the picture on show
        self._tries: dict[str, str] = {}  # pictures made under a mask, and what each began with
        self._putting = False
        self._writing = 0
        self._waiting: list[Callable[[], object]] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._write)
        self._following = False
        self._sketch: tuple[PaintedMask, str] | None = None  # newer than its file
        self._strokes = 0
        self._sketching = False
        self._whose = secrets.token_hex(4)
        self._stroke_timer = QTimer(self)
        self._stroke_timer.setSingleShot(True)
        self._stroke_timer.setInterval(STROKE_MS)
        self._stroke_timer.timeout.connect(self._write_stroke)
        draft.changed.connect(self._on_draft)

    # -- what is on show ----------------------------------------------------------------------

    def look(self, path: str, size: QSize) -> None:
        """This finished picture is on show; an empty path: none is."""
        self._path, self._size = path, QSize(size)
        mask = self._drafted
        if mask is not None and path and path != mask.picture and size == mask.image.size:
            self._origin_of(path, lambda origin: self._on_origin(path, origin))
        self.changed.emit(QRect())

    def _on_origin(self, path: str, origin: Origin) -> None:
        start = origin.request.start_image if origin.request is not None else None
        if start is not None and start.mask:
            self._tries[path] = start.path
            if path == self._path:
                self.changed.emit(QRect())

    @property
    def image(self) -> MaskImage | None:
        """The mask of the picture on show; None: it has none."""
        mask = self._shown()
        return mask.image if mask is not None else None

    @property
    def before(self) -> str:
        """Path of the picture that the one on show was made from under the mask; empty: it was
        made in no such way."""
        mask = self._drafted
        is_try = mask is not None and self._tries.get(self._path) == mask.picture
        return mask.picture if mask is not None and is_try else ""

    @property
    def picture(self) -> str:
        """Path of the picture that the draft's mask lies on; empty: there is none."""
        return self._drafted.picture if self._drafted is not None else ""

    def _shown(self) -> PaintedMask | None:
        for mask in (self._edited, self._drafted):
            if mask is not None and mask.image.size == self._size:
                if self._path == mask.picture:
                    return mask
                if mask is self._drafted and self._tries.get(self._path) == mask.picture:
                    return mask
        return None

    # -- changes ------------------------------------------------------------------------------

    def begin(self) -> MaskImage | None:
        """Begin a change of the mask on show, which is made where there is none; None: there is no
        picture."""
        if not self._path:
            return None
        mask = self._shown() or PaintedMask(self._path, MaskImage(self._size))
        self._edited = mask
        mask.image.begin()
        return mask.image

    def touched(self, part: QRect) -> None:
        """So much of it was changed."""
        self.changed.emit(part)
        mask = self._edited
        if not self._following or mask is None or self._stroke_timer.isActive():
            return
        size = mask.image.size
        if size.width() * size.height() <= MOST_FOLLOWED:
            self._stroke_timer.start()

    def cancel(self) -> None:
        """Take back what was changed since `begin`."""
        mask, self._edited = self._edited, None
        self._forget_sketch()
        if mask is not None:
            self.changed.emit(mask.image.cancel())

    def end(self, what: str) -> None:
        """The change is complete.

        Args:
            what: after “Undo” in the menu: ``Paint Mask``.
        """
        mask, self._edited = self._edited, None
        edit = mask.image.end() if mask is not None else None
        if mask is None or edit is None:
            return
        before, values = self._drafted, self._values()
        mask.changed = True

        def undo() -> None:
            self.changed.emit(mask.image.swap(edit))
            mask.changed = True
            if before is mask:
                self._use(mask)
            else:
                self._use(before, values)

        def redo() -> None:
            self.changed.emit(mask.image.swap(edit))
            mask.changed = True
            self._use(mask)

        if before is not mask and (area := self.area_for(mask.image.size)) is not None:
            self._draft.set(AREA, area)
        self._use(mask)
        self._undo.did(what, undo, redo)

    def change(self, what: str, deed: Callable[[MaskImage], QRect]) -> None:
        """Change the mask as a whole, in one step."""
        image = self.begin()
        if image is not None:
            self.touched(deed(image))
            self.end(what)

    def go_on(self) -> None:
        """Make the picture on show the one that is painted on, with nothing masked yet."""
        path, before, values = self._path, self._drafted, self._values()
        mask = PaintedMask(path, MaskImage(self._size))
        if path:
            self._use(mask)
            self._undo.did(
                "Go On from This One", lambda: self._use(before, values), lambda: self._use(mask)
            )

    def take_file(self, file: str) -> None:
        """Put a mask from a file in its place, of whatever size."""
        self._take(file, "Mask from File")

    def take_transparency(self) -> None:
        """Mask what is transparent in the picture on show."""
        self._take(MASK_ALPHA, "Mask from Transparency")

    def _take(self, file: str, what: str) -> None:
        path, size = self._path, QSize(self._size)

        def then(image: QImage) -> None:
            if path == self._path:
                self.change(what, lambda mask: mask.take(image))

        if path:
            self._background.run(
                lambda: mask_files.read(file, size, picture=path), then, self.failed.emit
            )

    # -- the draft ----------------------------------------------------------------------------

    def _values(self) -> tuple[object, ...]:
        return tuple(self._draft.value(name) for name in _FIELDS)

    def _use(self, mask: PaintedMask | None, values: tuple[object, ...] = ("", "", False)) -> None:
        """Make a mask the draft's.

        Args:
            values: of the draft's fields where there is none.
        """
        self._drafted = mask
        if self._sketch is not None and self._sketch[0] is not mask:
            self._forget_sketch()
        if mask is not None:
            values = (mask.picture, mask.file, False)
        self._put(values)
        if mask is not None and mask.changed:
            self._timer.start()
        self.changed.emit(QRect())

    def _put(self, values: tuple[object, ...]) -> None:
        draft = self._draft.draft
        for name, value in zip(_FIELDS, values, strict=True):
            draft = draft.with_value(name, value)
        self._putting = True
        try:
            self._draft.put(draft)
        finally:
            self._putting = False

    def _on_draft(self, name: str) -> None:
        """Someone else changed picture or mask: settings were used, another picture was dropped."""
        if self._putting or name not in _FIELDS:
            return
        start, file, inverted = self._values()
        mask = self._drafted
        if mask is not None and (start, file, inverted) == (mask.picture, mask.file, False):
            return
        self._drafted = None
        if mask is not None and start != mask.picture and file == mask.file:
            self._put((start, "", False))  # it lay on the picture that went
            self._keep_for_undo(mask, start)
        elif file and start:
            self._load(str(start), str(file), bool(inverted))
        self.changed.emit(QRect())

    def _keep_for_undo(self, mask: PaintedMask, start: object) -> None:
        if not self._undo.stepping and not mask.image.empty:
            self._undo.did(
                "Change Starting Picture",
                lambda: self._use(mask),
                lambda: self._use(None, (start, "", False)),
            )

    def _load(self, start: str, file: str, inverted: bool) -> None:
        """The mask that the draft names comes from its file."""

        def work() -> QImage:
            return mask_files.read(file, mask_files.read_size(start), picture=start)

        def then(image: QImage) -> None:
            if self._drafted is None and self._values() == (start, file, inverted):
                if inverted:
                    image.invertPixels()
                mask = PaintedMask(start, MaskImage(image.size(), image), file)
                mask.changed = inverted or file == MASK_ALPHA
                self._use(mask)
                self.look(self._path, self._size)

        # that it cannot be read is said where the draft's mask is shown
        self._background.run(work, then, lambda _error: None)

    # -- Live ---------------------------------------------------------------------------------

    def follow(self, on: bool) -> None:
        """Whether strokes are told while they are drawn."""
        self._following = on
        if not on:
            self._forget_sketch()

    def as_painted(self, draft: Draft) -> Draft:
        """A draft with the mask as it is at this moment of a stroke."""
        if self._sketch is None:
            return draft
        mask, file = self._sketch
        for name, value in ((START, mask.picture), (FILE, file), (INVERTED, False)):
            draft = draft.with_value(name, value)
        if self._drafted is not mask and (area := self.area_for(mask.image.size)) is not None:
            draft = draft.with_value(AREA, area)
        return draft

    def _write_stroke(self) -> None:
        mask = self._edited
        if mask is None or not self._following:
            return
        if self._sketching:
            self._stroke_timer.start()
            return
        self._strokes += 1
        file, image = mask_files.stroke_file(self._whose, self._strokes), QImage(mask.image.image)
        self._sketching = True

        def then(_: object) -> None:
            self._sketching = False
            if mask in (self._edited, self._drafted) and (mask.changed or self._edited):
                self._sketch = mask, f"{file}"
                self.sketched.emit()

        def failed(_error: SfumatoError) -> None:
            self._sketching = False  # it is told when the mask itself is written

        self._background.run(lambda: mask_files.write(image, file, for_long=False), then, failed)

    def _forget_sketch(self) -> None:
        if self._sketch is not None:
            self._sketch = None
            self.sketched.emit()

    # -- files --------------------------------------------------------------------------------

    def when_kept(self, then: Callable[[], object]) -> None:
        """Call `then` once the draft names a file with the mask as it is now."""
        self._waiting.append(then)
        if self._timer.isActive():
            self._timer.stop()
            self._write()
        elif not self._writing:
            self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            then()

    def _write(self) -> None:
        mask = self._drafted
        if mask is None or not mask.changed:
            self._tell()
            return
        mask.changed = False
        if mask.image.empty:
            self._on_written(mask, "")
            return
        file, image = mask_files.new_file(), QImage(mask.image.image)
        self._writing += 1

        def then(_: object) -> None:
            self._writing -= 1
            self._on_written(mask, str(file))

        def failed(error: SfumatoError) -> None:
            self._writing -= 1
            mask.changed = True
            self._waiting.clear()
            self.failed.emit(error)

        self._background.run(lambda: mask_files.write(image, file), then, failed)

    def _on_written(self, mask: PaintedMask, file: str) -> None:
        mask.file = file
        if self._sketch is not None and self._sketch[0] is mask and self._edited is None:
            self._sketch = None  # the file is newer
        if mask is self._drafted:
            self._put((mask.picture, file, False))
        if not self._writing and not self._timer.isActive():
            self._tell()

    def settle(self) -> None:
        """The app ends: the draft names the mask as it is, which is written before the end."""
        mask = self._drafted
        if mask is not None and (mask.changed or self._writing):
            empty = mask.image.empty
            file, image = mask_files.new_file(), QImage(mask.image.image)
            mask.changed = False
            mask.file = "" if empty else str(file)
            self._put((mask.picture, mask.file, False))
            if not empty:
                self._background.run(
                    lambda: mask_files.write(image, file), lambda _: None, lambda _: None
                )

    def close(self) -> None:
        """What is being written is finished."""
        self._timer.stop()
        self._stroke_timer.stop()
        if self._strokes:
            self._background.run(
                lambda: mask_files.forget_strokes(self._whose), lambda _: None, lambda _: None
            )
        self._background.close()
