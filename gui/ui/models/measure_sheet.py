"""How fast a model is on each compute unit of this computer: a table, and measuring anew."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.state.measuring import Measurement, ModelMeasuring, UnitRow, telling
from gui.state.model_entry import ModelEntry
from gui.ui.widgets.controls import ElidedLabel, label

SIZE = QSize(560, 480)
MOST_OF_SCREEN = 0.9
"""Of the screen's height, that the sheet grows to by itself."""
NOTHING = (
    "A picture of a few steps is made with each processor in turn, which takes from seconds to "
    "some minutes. From then on the quickest is used where no compute unit is chosen."
)
ONE_UNIT = (
    "A picture of a few steps is made, which takes some seconds. There is one processor for models "
    "here, so there is nothing to choose."
)
BUSY = "A picture is being made. Measure when it is finished, or the figures would be wrong."
LOOKING = "Looking for what was measured before…"


class UnitCard(QFrame):
    """One compute unit: name and speed, what its first start took, where the work is done."""

    def __init__(self, row: UnitRow) -> None:
        super().__init__()
        self.setObjectName("card")
        self.row = row
        name = ElidedLabel(row.name, "statement")
        self.speed = label(row.speed or "Not usable", "statement" if row.speed else "secondary")
        self.speed.setTextFormat(Qt.TextFormat.PlainText)
        head = QHBoxLayout()
        head.addWidget(name, 1)
        head.addWidget(self.speed)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 9, 12, 9)
        column.setSpacing(3)
        column.addLayout(head)
        for text in (self._facts(row), row.plan, row.note):
            if text:
                column.addWidget(_plain(text))
        told = (row.name, row.speed or "not usable", self._facts(row), row.plan, row.note)
        self.setAccessibleName(". ".join(part for part in told if part))

    @staticmethod
    def _facts(row: UnitRow) -> str:
        parts = [f"First start {row.start}" if row.start else "", "In use" if row.best else ""]
        return " · ".join(part for part in parts if part)


class MeasureSheet(QDialog):
    """Shows what was measured of one model, and measures it.

    Args:
        measuring: does so.
        entry: the model.
        chosen: the compute unit that the person has chosen for pictures; empty: none.
        parent: the window it lies over.
    """

    def __init__(
        self,
        measuring: ModelMeasuring,
        entry: ModelEntry,
        chosen: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._measuring = measuring
        self._entry = entry
        self._chosen = chosen
        self._known: Measurement | None = None
        self.cards: list[UnitCard] = []
        self.setWindowTitle("Measure This Model")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.resize(SIZE)
        self.title = ElidedLabel(f"“{entry.name}” on {words.COMPUTER}", "heading")
        self.where = ElidedLabel("", "small")
        self.text = _plain(LOOKING, "secondary")
        inner = QWidget()
        inner.setObjectName("scrolled")
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(0, 0, 6, 0)
        self._column.setSpacing(8)
        self._column.addStretch(1)
        self.list_area = QScrollArea()
        self.list_area.setWidgetResizable(True)
        self.list_area.setFrameShape(QFrame.Shape.NoFrame)
        self.list_area.setAccessibleName("Compute units")
        self.list_area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list_area.setWidget(inner)
        self._inner = inner
        self.what = ElidedLabel("", "statement")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Compute units tried")
        self.hint = _plain("", "small")
        self.measure = QPushButton("Measure")
        self.measure.setObjectName("sheetPrimary")
        self.stop = QPushButton("Stop")
        self.stop.setAutoDefault(False)
        self.close_button = QPushButton("Close")
        self.close_button.setAutoDefault(False)
        self._lay_out()
        self.measure.clicked.connect(lambda *_: measuring.measure(entry))
        self.stop.clicked.connect(lambda *_: measuring.stop())
        self.close_button.clicked.connect(self.reject)
        measuring.changed.connect(self._show_status)
        measuring.measured.connect(self._on_measured)
        self._show_status()
        measuring.look_up(entry, self._show)

    def _lay_out(self) -> None:
        foot = QHBoxLayout()
        foot.addStretch(1)
        for button in (self.stop, self.close_button, self.measure):
            foot.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.where)
        column.addWidget(self.text)
        column.addWidget(self.list_area, 1)
        column.addWidget(self.what)
        column.addWidget(self.bar)
        column.addWidget(self.hint)
        column.addLayout(foot)

    # -- what was measured --------------------------------------------------------------------

    def _on_measured(self, folder: str, found: Measurement) -> None:
        if folder == self._entry.request_folder:
            self._show(found)

    def _show(self, found: Measurement | None) -> None:
        self._known = found
        for card in self.cards:
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards = [UnitCard(row) for row in telling.rows(found)] if found else []
        for card in self.cards:
            self._column.insertWidget(self._column.count() - 1, card)
        self.where.set_text(telling.where(found) if found else "")
        self.where.setVisible(found is not None)
        self.measure.setText("Measure Again" if self.cards else "Measure")
        self._show_status()
        self._make_room()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        """Grow until every card is to be seen whole, as far as the screen goes: where scroll bars
        hide, a card that is cut off looks like the last line of its text."""
        layout = self.layout()
        if not self.cards or layout is None or not self.isVisible():
            return
        layout.activate()
        area = self.list_area.viewport()
        missing = self._inner.heightForWidth(area.width()) - area.height()
        most = int(self.screen().availableGeometry().height() * MOST_OF_SCREEN)
        if missing > 0:
            self.resize(self.width(), min(self.height() + missing, max(most, self.height())))

    def _sentence(self) -> str:
        found = self._known
        if found is None or not found.units:
            return NOTHING if self._measuring.has_choice else ONE_UNIT
        if self._chosen:
            used = telling.unit_name(self._measuring.unit(self._chosen), found.computer)
            return f"You have chosen {used} for pictures, so that is used whatever is quickest."
        return telling.choice_sentence(found)

    # -- what goes on -------------------------------------------------------------------------

    def _show_status(self) -> None:
        status = self._measuring.status
        runs = status is not None
        mine = status is not None and status.folder == self._entry.request_folder
        busy = not runs and self._measuring.engine_is_busy
        sentence = BUSY if busy else self._sentence()
        self.text.setText(sentence)
        self.text.setVisible(bool(sentence))
        for widget in (self.what, self.bar, self.stop):
            widget.setVisible(runs)
        self.measure.setVisible(not runs)
        self.measure.setEnabled(not busy)
        self.measure.setDefault(not runs)
        self.hint.setVisible(status is not None and bool(status.hint))
        if status is None:
            return
        begins = "" if mine else f"“{status.name}”: "
        told = " · ".join(part for part in (status.unit, status.what) if part) or "starting"
        self.what.set_text(f"{begins}{'stopping…' if status.stopping else told}")
        self.hint.setText(status.hint)
        # One that is not told how long it takes moves by itself.
        self.bar.setRange(0, status.total)
        self.bar.setValue(status.number)

    def done(self, result: int) -> None:
        """What is measured goes on only while a person looks, where it was asked for here."""
        status = self._measuring.status
        if status is not None and not status.unasked:
            self._measuring.stop()
        super().done(result)


def _plain(text: str, name: str = "small") -> QLabel:
    made = label(text, name, wrap=True)
    made.setTextFormat(Qt.TextFormat.PlainText)
    return made
