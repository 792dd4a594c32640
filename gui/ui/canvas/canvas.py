"""The middle column: banner, picture or empty state, progress strip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QImage, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.state.activity import Activity
from gui.state.pictures.images import ImageLoader
from gui.state.pictures.steps import SeenSteps, StepPreviews
from gui.ui.canvas.empty_state import EmptyState
from gui.ui.canvas.hud import ProgressStrip
from gui.ui.canvas.picture_view import PictureView
from gui.ui.canvas.scrubber import Scrubber
from gui.ui.canvas.tool_strip import CanvasTools
from gui.ui.widgets.banner import Banner
from gui.ui.widgets.controls import ElidedLabel
from gui.ui.widgets.toast import say_briefly

if TYPE_CHECKING:
    from gui.state.model_entry import ModelEntry
    from gui.state.pictures.types import IndexedPicture

STRIP_WIDTH = 620
BESIDE_BAR = 12
"""Room left and right of the tools' options."""


class Canvas(QFrame):
    """Shows what is being made or the chosen picture, as the person likes; else the invitation.

    It *follows* what is being made from when it is asked for until the person looks at another
    picture.  Then a picture that is finished takes nobody's eyes off the one on show.
    """

    picture_shown = Signal(str)
    """Path of the finished picture on show; empty while there is none."""
    following_changed = Signal(bool)
    browsing_changed = Signal(bool)
    """Whether the gallery is in the picture's place."""
    covered_changed = Signal(bool)
    """Whether something else lies in the place of picture and gallery."""
    pixels_shown = Signal(str, QImage)
    """A finished picture's path and pixels, once they are on show."""
    menu_requested = Signal(QPoint)
    failed = Signal(SfumatoError)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("canvasColumn")
        self.banner = Banner()
        self.view = PictureView()
        self.tools = CanvasTools(self.view)
        self.empty = EmptyState()
        self.strip = ProgressStrip()
        self.scrubber = Scrubber()
        self.title = ElidedLabel("")
        self.caption = ElidedLabel("", "small")
        for line in (self.title, self.caption):
            line.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._picture: IndexedPicture | None = None
        self._following = True
        self._gallery: QWidget | None = None
        self._browsing = False
        self._cover: QWidget | None = None
        self._activity = Activity()
        self._frame: tuple[QImage, QSize] | None = None
        self._size = (512, 512)
        self._loader = ImageLoader(parent=self)
        self._pixels = ("", QImage())  # of the picture on show, once they have come
        self._steps = StepPreviews(self)
        self._steps.arrived.connect(self._on_steps)
        self.scrubber.step_shown.connect(self._show_step)
        self._lay_out()
        self._loader.loaded.connect(self._on_loaded)
        self._loader.failed.connect(self._on_load_failed)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(
            lambda at: self.menu_requested.emit(self.view.mapToGlobal(at))
        )
        self.banner.shown.connect(self.announce)
        self.banner.copied.connect(lambda: self.say_briefly("Details copied"))

    def _lay_out(self) -> None:
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.view)
        self.strip.setMaximumWidth(STRIP_WIDTH)
        self.strip.hide()
        above = QHBoxLayout()
        above.setContentsMargins(20, 14, 20, 0)
        above.addWidget(self.banner)
        below = self._below = QHBoxLayout()
        below.addStretch(1)
        below.addWidget(self.strip, 20)
        below.addStretch(1)
        foot = self._foot = QVBoxLayout()
        foot.setSpacing(2)
        scrub = QHBoxLayout()
        scrub.addStretch(1)
        scrub.addWidget(self.scrubber, 20)
        scrub.addStretch(1)
        foot.addLayout(scrub)
        foot.addWidget(self.title)
        foot.addWidget(self.caption)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        options = QHBoxLayout()
        options.setContentsMargins(BESIDE_BAR, 8, BESIDE_BAR, 0)
        options.addStretch(1)
        options.addWidget(self.tools.bar)
        options.addStretch(1)
        middle = QHBoxLayout()
        middle.setSpacing(0)
        middle.addWidget(self.tools.side)
        middle.addWidget(self.stack, 1)
        column.addLayout(above)
        column.addLayout(options)
        column.addLayout(middle, 1)
        column.addLayout(foot)
        column.addLayout(below)
        self.title.hide()
        self.caption.hide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.tools.bar.set_room(self.width() - 2 * BESIDE_BAR)

    # -- what is shown ------------------------------------------------------------------------

    @property
    def picture(self) -> IndexedPicture | None:
        """The finished picture on show, or None."""
        return self._picture if not self._live else None

    @property
    def shows_frame(self) -> bool:
        """Whether what `set_frame` was given is on show."""
        return self._frame is not None and self._live and not self._activity.busy

    @property
    def underlying(self) -> IndexedPicture | None:
        """The finished picture that is on show when nothing is being made."""
        return self._picture

    @property
    def following(self) -> bool:
        return self._following

    @property
    def _live(self) -> bool:
        """Whether what is being made is on show."""
        making = self._activity.busy or self._frame is not None
        return making and (self._following or self._picture is None)

    @property
    def browsing(self) -> bool:
        """Whether the gallery is in the picture's place."""
        return self._browsing

    def set_gallery(self, gallery: QWidget) -> None:
        """What `browse` shows."""
        self._gallery = gallery
        self.stack.addWidget(gallery)

    @property
    def cover(self) -> QWidget | None:
        """What lies in the place of picture and gallery."""
        return self._cover

    def show_cover(self, cover: QWidget | None) -> None:
        """Put something in the place of picture or gallery; None: take it away."""
        if cover is self._cover:
            return
        if cover is not None and self.stack.indexOf(cover) < 0:
            self.stack.addWidget(cover)
        self._cover = cover
        self._update()
        self.covered_changed.emit(cover is not None)

    def browse(self, on: bool) -> None:
        """Put the gallery in the picture's place, or take it away."""
        self.show_cover(None)
        on = on and self._gallery is not None
        if on != self._browsing:
            self._browsing = on
            self._update()
            self.browsing_changed.emit(on)

    def follow(self) -> None:
        """Show what is being made, now or next."""
        self.browse(False)
        self._set_following(True)
        if self._live:
            self._show_live()
        self._update()

    def look_at(self, picture: IndexedPicture) -> None:
        """The person turned to a finished picture."""
        self._set_following(False)
        self.show_picture(picture)
        self.browse(False)

    def stay(self) -> None:
        """Something is done on the picture on show: what is finished meanwhile does not take its
        place."""
        if self.picture is not None:
            self._set_following(False)

    def _set_following(self, following: bool) -> None:
        if following != self._following:
            self._following = following
            self.following_changed.emit(following)

    def set_model(self, entry: ModelEntry) -> None:
        self.empty.set_model(entry)
        if entry.info is not None and entry.info.image_width:
            self._size = (entry.info.image_width, entry.info.image_height)

    def show_picture(self, picture: IndexedPicture | None) -> None:
        """Show a finished picture; None goes back to the invitation."""
        self._picture = picture
        self._pixels = ("", QImage())
        self.scrubber.set_steps(SeenSteps(0))
        if picture is not None:
            self._loader.load(picture.path)
            self._steps.load(picture.facts.fingerprint)
        self._update()

    def set_activity(self, activity: Activity) -> None:
        before, self._activity = self._activity, activity
        self.strip.set_activity(activity)
        if self._live and activity.preview is not before.preview and activity.preview:
            self.view.show_image(activity.preview, size=QSize(*self._size))
        if activity.phase is not before.phase or activity.halted != before.halted:
            self._on_phase(before)

    def _on_phase(self, before: Activity) -> None:
        activity = self._activity
        if activity.busy and not before.busy:
            self.banner.dismiss()
            if self._live:
                self._show_live()
            self.announce("Generating")
        if not activity.busy and before.busy and self._picture is not None:
            self._loader.load(self._picture.path)
        self._update()

    def set_frame(self, image: QImage | None, size: QSize | None = None) -> None:
        """Show a picture that follows the draft and is kept nowhere; None: no longer.

        Args:
            size: as `PictureView.show_image`.
        """
        before = self._frame
        self._frame = (image, size or image.size()) if image is not None else None
        if self._activity.busy or (before is None and self._frame is None):
            return
        if self._live:
            self._show_live()
        if before is None or self._frame is None:
            if self._frame is None and self._picture is not None:
                self._loader.load(self._picture.path)
            self._update()

    def _show_live(self) -> None:
        if self._frame is not None and not self._activity.busy:
            image, size = self._frame
            self.view.show_image(image, size=size)
        elif self._activity.preview is not None:
            self.view.show_image(self._activity.preview, size=QSize(*self._size))
        else:
            self.view.show_fog(*self._size)

    def _update(self) -> None:
        live, picture = self._live, self._picture
        self.strip.setVisible(self._activity.busy or self._activity.halted)
        page = self.view if live or picture is not None else self.empty
        gallery = self._cover or (self._gallery if self._browsing else None)
        wanted = page if gallery is None else gallery
        # what is not on show asks for no room
        policy = (
            QSizePolicy.Policy.Preferred if wanted is self.empty else QSizePolicy.Policy.Ignored
        )
        self.empty.setSizePolicy(policy, policy)
        self.stack.setCurrentWidget(wanted)
        for line in (self.title, self.caption):
            line.setVisible(picture is not None and not live and gallery is None)
        self.tools.set_place(shown=gallery is None, has_picture=live or picture is not None)
        self._show_scrubber()
        self._foot.setContentsMargins(24, 0, 24, 12 if gallery is None else 0)
        free = gallery is None or self._activity.busy or self._activity.halted
        self._below.setContentsMargins(20, 0, 20, 14 if free else 0)
        if picture is not None:
            self.title.set_text(title_of(picture))
            self.caption.set_text(caption_of(picture))
            self.view.setAccessibleName(f"Picture of “{title_of(picture)}”")
        if live:
            self.view.setAccessibleName("Preview")
        self.picture_shown.emit(picture.path if picture is not None and not live else "")

    def _on_loaded(self, path: str, image: QImage) -> None:
        """A picture came from the disk; by now something else may be on show."""
        if self._picture is not None and self._picture.path == path and not self._live:
            self._pixels = (path, image)
            self.scrubber.show_end()
            self.view.show_image(image, path=path)
            self.pixels_shown.emit(path, image)
            self._show_scrubber()

    def _on_steps(self, picture: str, steps: SeenSteps) -> None:
        if self._picture is not None and self._picture.facts.fingerprint == picture:
            self.scrubber.set_steps(steps)
            self._show_scrubber()

    def _show_scrubber(self) -> None:
        """Where there are steps, and the picture they led to is on show."""
        finished = self._picture is not None and self._picture.path == self._pixels[0]
        hidden = self._live or self._browsing or self._cover is not None
        on = finished and not hidden and self.scrubber.there
        if not on:
            self.scrubber.stop()
        self.scrubber.setVisible(on)

    def _show_step(self, image: QImage | None) -> None:
        """The picture as it was at a step; None: as it is."""
        path, pixels = self._pixels
        if self._live or self._picture is None or self._picture.path != path:
            return
        if image is None:
            self.view.show_image(pixels, path=path)
        else:
            self.view.show_image(image, size=pixels.size())

    def _on_load_failed(self, path: str, error: SfumatoError) -> None:
        if self._picture is not None and self._picture.path == path:
            self.failed.emit(error)

    def say_briefly(self, text: str) -> None:
        """Say beside the picture what was done; it fades by itself, and is read aloud."""
        say_briefly(self.stack, text)

    def announce(self, text: str) -> None:
        """Say something through VoiceOver and its kin."""
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def close_loader(self) -> None:
        self._loader.close()
        self._steps.close()


def title_of(picture: IndexedPicture) -> str:
    """What a picture is called: its prompt, else its file's name."""
    return picture.facts.prompt or picture.path.rpartition("/")[2]


def caption_of(picture: IndexedPicture) -> str:
    """The line below a picture: how it was made."""
    facts = picture.facts
    parts = [words.pixels(facts.width, facts.height)]
    if facts.seed is not None:
        parts.append(f"seed {facts.seed}")
    if facts.steps is not None:
        parts.append(words.plural(facts.steps, "step"))
    if facts.scheduler:
        parts.append(facts.scheduler)
    if facts.model:
        parts.append(facts.model)
    return "  ·  ".join(parts)
