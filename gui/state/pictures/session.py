"""The pictures made in this session, newest first: what the filmstrip shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSize,
    Qt,
    QUrl,
    Signal,
)
from PySide6.QtGui import QImage

from gui import words
from gui.state.pictures.images import ImageLoader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gui.request import PictureRecord

_Index = QModelIndex | QPersistentModelIndex
THUMBNAIL = QSize(192, 192)


@dataclass
class SessionPicture:
    """One finished picture.  `record` is what the picture says of itself."""

    path: str
    record: PictureRecord
    thumbnail: QImage | None = None


def drag_data(paths: list[str], image: QImage | None = None) -> QMimeData:
    """What a drag or a copy of these pictures offers: their file URLs, and the pixels for one.

    Every result is on disk under its real name before it can be dragged: macOS reads the URL when
    the drag starts, so a file written later would not arrive.

    Args:
        image: the pixels of the only picture, where they are at hand; no file is read for them.
    """
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(path) for path in paths])
    if len(paths) == 1 and image is not None and not image.isNull():
        data.setImageData(image)
    return data


class SessionPictures(QAbstractListModel):
    """Rows carry `SessionPicture` as UserRole, its thumbnail as DecorationRole."""

    added = Signal(SessionPicture)
    removed = Signal(str, int)
    """A picture's path, and the row it had."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pictures: list[SessionPicture] = []
        self._loader = ImageLoader(THUMBNAIL, self)
        self._loader.loaded.connect(self._on_thumbnail)
        self._pixels = ("", QImage())

    def pictures(self) -> list[SessionPicture]:
        return list(self._pictures)

    def row_of(self, path: str) -> int:
        return next((k for k, p in enumerate(self._pictures) if p.path == path), -1)

    def find(self, path: str) -> SessionPicture | None:
        row = self.row_of(path)
        return self._pictures[row] if row >= 0 else None

    def add(self, path: str, record: PictureRecord, row: int = 0) -> SessionPicture:
        """Put a picture in front, or back into its row; its thumbnail follows from a worker."""
        picture = SessionPicture(path, record)
        row = min(row, len(self._pictures))
        self.beginInsertRows(QModelIndex(), row, row)
        self._pictures.insert(row, picture)
        self.endInsertRows()
        self._loader.load(path)
        self.added.emit(picture)
        return picture

    def keep_pixels(self, path: str, image: QImage) -> None:
        """Have the picture on show at hand, so that a drag of it can offer its pixels."""
        self._pixels = (path, image)

    def drag_data(self, paths: list[str]) -> QMimeData:
        """As `drag_data`, with the pixels of the picture on show."""
        shown, image = self._pixels
        return drag_data(paths, image if paths == [shown] else None)

    def forget(self, path: str) -> None:
        """Take a picture off the strip; its file stays."""
        row = self.row_of(path)
        if row < 0:
            return
        self.beginRemoveRows(QModelIndex(), row, row)
        del self._pictures[row]
        self.endRemoveRows()
        self.removed.emit(path, row)

    def close(self) -> None:
        self._loader.close()

    def _on_thumbnail(self, path: str, image: QImage) -> None:
        row = self.row_of(path)
        if row >= 0:
            self._pictures[row].thumbnail = image
            self.dataChanged.emit(self.index(row), self.index(row))

    # -- QAbstractListModel -------------------------------------------------------------------

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._pictures)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        picture = self._pictures[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return picture
        if role == Qt.ItemDataRole.DecorationRole:
            return picture.thumbnail
        request = picture.record.request
        if role == Qt.ItemDataRole.ToolTipRole:
            return words.plain_tip(f"{request.prompt}\nSeed {request.seed}")
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"Picture of “{request.prompt}”, seed {request.seed}"
        return None

    def flags(self, index: _Index) -> Qt.ItemFlag:
        base = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return base | Qt.ItemFlag.ItemIsDragEnabled if index.isValid() else base

    def mimeTypes(self) -> list[str]:
        return ["text/uri-list", "application/x-qt-image"]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        rows = sorted({index.row() for index in indexes})
        return self.drag_data([self._pictures[row].path for row in rows])

    def supportedDragActions(self) -> Qt.DropAction:
        return Qt.DropAction.CopyAction
