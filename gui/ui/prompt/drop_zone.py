"""The place for a picture that goes in: drop one, or click to choose."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QFileDialog, QMenu, QSizePolicy, QToolButton

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.start_image import MASK_ALPHA
from gui.state.background import Background
from gui.state.desktop import keep_dropped_image
from gui.state.pictures.images import (
    PICTURES_FILTER,
    ImageLoader,
    picture_size,
)
from gui.ui.widgets.appearance import current_palette, sized_font
from gui.ui.widgets.controls import icon_button
from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.icons import paint_icon
from gui.ui.widgets.picture_target import PictureTarget

HEIGHT = 76
"""With a picture."""
EMPTY_HEIGHT = 44
_THUMBNAIL = QSize(4 * HEIGHT, 4 * HEIGHT)


class DropZone(PictureTarget):
    """Holds the path of a picture and shows it small.

    A widget of buttons' manners: Tab reaches it, Space and Return ask where to take a picture from,
    Delete takes it away.

    Args:
        kind: what the picture is, in small letters: ``starting picture``.
    """

    edited = Signal(str)
    """The path of another picture, or an empty one."""
    sized = Signal(int, int)
    """Width and height of the picture, once it is read; 0 and 0 where there is none."""
    failed = Signal(SfumatoError)
    gallery_wanted = Signal()
    """One of the person's own pictures is to be chosen."""

    def __init__(self, kind: str = "starting picture") -> None:
        super().__init__()
        self._kind = kind
        self.menu: QMenu | None = None
        self._path = ""
        self._thumbnail = QImage()
        self._size_text = ""
        self._reason = ""
        self._loader = ImageLoader(_THUMBNAIL, self)
        self._background = Background(self)
        self._loader.loaded.connect(self._on_loaded)
        self._loader.failed.connect(self._on_failed)
        self.setFixedHeight(EMPTY_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.remove_button: QToolButton = icon_button("close", f"Remove the {kind}")
        self.remove_button.setParent(self)
        self.remove_button.clicked.connect(lambda: self.set_path(""))
        self.remove_button.hide()
        self._name_it()

    def path(self) -> str:
        return self._path

    def set_value(self, path: str) -> None:
        """Take a picture.  It is read off the window's thread; one that cannot be
        read is taken away again, with `failed`."""
        if path == self._path:
            return
        self._path = path
        self._size_text = ""
        self._thumbnail = QImage()
        self.sized.emit(0, 0)
        self.setFixedHeight(HEIGHT if path else EMPTY_HEIGHT)
        self.remove_button.setVisible(bool(path))
        self._name_it()
        self.update()
        if path == MASK_ALPHA:
            self._size_text = "of the starting picture"
        elif path:
            self._loader.load(path)

    def set_path(self, path: str) -> None:
        """As `set_value`, by the person."""
        if path != self._path:
            self.set_value(path)
            self.edited.emit(path)

    def _on_loaded(self, path: str, image: QImage) -> None:
        if path == self._path:
            size = picture_size(image)
            self._size_text = f"{size.width()} × {size.height()} px"
            self._thumbnail = image
            self.sized.emit(size.width(), size.height())
            self.update()

    def _on_failed(self, path: str, error: SfumatoError) -> None:
        if path == self._path:
            self.set_path("")
            self.failed.emit(error)

    def close_down(self) -> None:
        """Wait for the workers that read the picture, and write one."""
        self._background.close()
        self._loader.close()

    def set_unavailable(self, reason: str) -> None:
        """Say why no picture can be used, in one sentence; an empty reason makes it usable again.

        A picture chosen before stays, unused, and can still be taken away.
        """
        self._reason = reason
        self.setAcceptDrops(not reason)
        pointer = Qt.CursorShape.ArrowCursor if reason else Qt.CursorShape.PointingHandCursor
        self.setCursor(pointer)
        self._name_it()
        self.update()

    @property
    def kind(self) -> str:
        """What the picture is, in small letters."""
        return self._kind

    @property
    def available(self) -> bool:
        return not self._reason

    def choose(self) -> None:
        """Open the file dialog."""
        if not self.available:
            return
        path, _ = QFileDialog.getOpenFileName(
            self, f"Choose a {self._kind.title()}", "", PICTURES_FILTER
        )
        if path:
            self.set_path(path)

    def _name_it(self) -> None:
        state = self._reason or self._path or "None chosen"
        self.setAccessibleName(self._kind.capitalize())
        self.setAccessibleDescription(state)
        self.setToolTip(words.plain_tip(self._reason or self._path))

    # -- painting -----------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        return QSize(200, self.height())

    def resizeEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        super().resizeEvent(event)
        size = self.remove_button.sizeHint()
        y = (self.height() - size.height()) // 2
        self.remove_button.setGeometry(
            QRect(self.width() - size.width() - 8, y, size.width(), size.height())
        )

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        strong = self._hovering or shows_ring(self)
        pen = QPen(QColor(palette.accent if strong else palette.border_strong), 2 if strong else 1)
        if not self._path and not shows_ring(self):
            pen.setStyle(Qt.PenStyle.CustomDashLine)
            pen.setDashPattern([4, 3])
        painter.setPen(pen)
        painter.setBrush(QColor(palette.accent_soft if self._hovering else palette.field))
        painter.drawRoundedRect(frame, 8, 8)
        if self._path:
            self._paint_picture(painter)
        else:
            self._paint_invitation(painter)

    def _paint_picture(self, painter: QPainter) -> None:
        palette = current_palette()
        inner = QRectF(8, 8, HEIGHT - 16, HEIGHT - 16)
        clip = QPainterPath()
        clip.addRoundedRect(inner, 6, 6)
        painter.save()
        painter.setClipPath(clip)
        painter.setOpacity(1.0 if self.available else 0.4)
        if self._thumbnail.isNull():
            painter.fillRect(inner, QColor(palette.groove))
        side = min(self._thumbnail.width(), self._thumbnail.height())
        source = QRectF(
            (self._thumbnail.width() - side) / 2, (self._thumbnail.height() - side) / 2, side, side
        )
        painter.drawImage(inner, self._thumbnail, source)
        painter.restore()
        left = HEIGHT + 4
        width = self.width() - left - 42
        if self._reason:
            painter.setFont(sized_font(12))
            painter.setPen(QColor(palette.secondary))
            flags = Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRect(left, 6, width, HEIGHT - 12), flags, "Not used. " + self._reason)
            return
        name = "Transparency" if self._path == MASK_ALPHA else self._path.rsplit("/", 1)[-1]
        name = self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, width)
        painter.setPen(QColor(palette.text))
        painter.drawText(QRect(left, 16, width, 22), Qt.AlignmentFlag.AlignVCenter, name)
        painter.setFont(sized_font(12))
        painter.setPen(QColor(palette.secondary))
        painter.drawText(QRect(left, 37, width, 22), Qt.AlignmentFlag.AlignVCenter, self._size_text)

    def _paint_invitation(self, painter: QPainter) -> None:
        palette = current_palette()
        colour = palette.secondary
        painter.setPen(QColor(colour))
        painter.setFont(sized_font(12))
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap
        if self._reason:
            rect = self.rect().adjusted(12, 6, -12, -6)
            painter.drawText(rect, flags | Qt.AlignmentFlag.AlignHCenter, self._reason)
            return
        text = "Drop or choose a picture"
        width = painter.fontMetrics().horizontalAdvance(text) + 2
        left = max(8, (self.width() - width - 28) // 2)
        paint_icon(painter, "image-add", QRect(left, (self.height() - 20) // 2, 20, 20), colour)
        painter.drawText(QRect(left + 28, 0, self.width() - left - 32, self.height()), flags, text)

    # -- being used ---------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask where to take a picture from."""
        if not self.available:
            return
        self.menu = menu = QMenu(self)
        menu.addAction("From the Gallery…").triggered.connect(lambda *_: self.gallery_wanted.emit())
        menu.addAction("Choose a File…").triggered.connect(lambda *_: self.choose())
        if self._path:
            menu.addSeparator()
            menu.addAction("Remove").triggered.connect(lambda *_: self.take_away())
        menu.popup(self.mapToGlobal(QPoint(0, self.height())))

    def holds_picture(self) -> bool:
        return bool(self._path)

    def take_away(self) -> None:
        self.set_path("")

    def take_dropped(self, found: str | QImage) -> bool:
        if isinstance(found, QImage):  # pixels without a file are kept as one
            self._background.run(lambda: keep_dropped_image(found), self.set_path, self.failed.emit)
        elif found:
            self.set_path(found)
        else:
            message = "What was dropped is no picture on this computer."
            self.failed.emit(SfumatoError(ErrorKind.BAD_IMAGE, message))
            return False
        return True
