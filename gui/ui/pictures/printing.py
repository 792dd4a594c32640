"""Pictures on paper, a page each, as large as the page is and the way the picture lies.

Qt's printing is imported when this module is, which is when somebody prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPageLayout, QPainter
from PySide6.QtPrintSupport import QPrintDialog, QPrinter
from PySide6.QtWidgets import QDialog, QWidget

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.state.background import Background
from gui.state.pictures.images import read_image

DOTS_PER_INCH = 300
"""To which larger pictures are scaled down: what paper shows, and a printer need not be sent more
of."""


class PicturePrinter(QObject):
    """Prints once.

    Args:
        background: where the pictures are read.
        window: what the dialog hangs from.
    """

    failed = Signal(SfumatoError)
    done = Signal(int)
    """The number of pages."""

    def __init__(self, background: Background, window: QWidget) -> None:
        super().__init__(window)
        self._background = background
        self._window = window
        self._printer: QPrinter | None = None
        self._painter: QPainter | None = None
        self._line: list[str] = []
        self._pages = 0

    def ask_and_print(self, paths: Sequence[str]) -> None:
        """Show the system's dialog, and print these pictures when it is agreed to."""
        printer = QPrinter(QPrinter.PrinterMode.HighResolution)
        printer.setCreator("Sfumato")
        printer.setDocName(
            Path(paths[0]).stem if len(paths) == 1 else words.plural(len(paths), "picture")
        )
        dialog = QPrintDialog(printer, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setOption(QPrintDialog.PrintDialogOption.PrintPageRange, False)
        dialog.accepted.connect(lambda: self.print_on(printer, paths))
        QDialog.open(dialog)  # the other `open` wants a slot by its name

    def print_on(self, printer: QPrinter, paths: Sequence[str]) -> None:
        """Print these pictures; what cannot be read is told and left out."""
        self._printer = printer
        self._line = list(paths)
        self._next()

    def _next(self) -> None:
        printer = self._printer
        assert printer is not None
        if not self._line:
            if self._painter is not None:
                self._painter.end()
            self.done.emit(self._pages)
            return
        path = self._line.pop(0)
        inches = printer.pageLayout().paintRect(QPageLayout.Unit.Inch).size()
        side = round(max(inches.width(), inches.height()) * DOTS_PER_INCH)

        def read() -> QImage:
            return read_image(path, QSize(side, side))

        self._background.run(read, self._put, self._leave_out)

    def _leave_out(self, error: SfumatoError) -> None:
        self.failed.emit(error)
        self._next()

    def _put(self, image: QImage) -> None:
        printer = self._printer
        assert printer is not None
        wide = image.width() > image.height()
        # Before the page begins: a page cannot be turned afterwards.
        printer.setPageOrientation(
            QPageLayout.Orientation.Landscape if wide else QPageLayout.Orientation.Portrait
        )
        if self._painter is None:
            self._painter = QPainter()
            begun = self._painter.begin(printer)
        else:
            begun = printer.newPage()
        if not begun:
            self._line.clear()
            self.failed.emit(
                SfumatoError(
                    ErrorKind.UNSUPPORTED,
                    "The printer could not be used; check that it is on, or choose another one.",
                    printer.printerName(),
                )
            )
            return
        page = QRectF(printer.pageRect(QPrinter.Unit.DevicePixel))
        room = QRectF(0, 0, page.width(), page.height())
        size = image.size().scaled(room.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRectF(0, 0, size.width(), size.height())
        place.moveCenter(room.center())
        self._painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        self._painter.drawImage(place, image)
        self._pages += 1
        self._next()
