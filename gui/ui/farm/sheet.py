"""“Other Macs”: starting a farm or joining one; the Macs in it and what they do."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.state import desktop
from gui.state.farm import Farm
from gui.ui.farm.rows import OfferRow, SeatRow
from gui.ui.widgets.controls import ElidedLabel, Switch, label
from gui.ui.widgets.questions import ask
from gui.ui.widgets.toast import say_briefly

WIDTH, HEIGHT = 520, 460


class FarmSheet(QDialog):
    """Bound to the `Farm`; it lies beside the window's work."""

    def __init__(self, farm: Farm, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._farm = farm
        self._code = ""
        self.setWindowTitle("Other Macs")
        self.resize(WIDTH, HEIGHT)
        self.problem = label("", "problem", wrap=True)
        self.problem.setVisible(False)
        self.outside = self._make_outside()
        self.inside = self._make_inside()
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 18)
        column.setSpacing(12)
        column.addWidget(self.outside, 1)
        column.addWidget(self.inside, 1)
        column.addWidget(self.problem)
        farm.changed.connect(self.refresh)
        farm.failed.connect(self._show_problem)
        farm.invited.connect(self._show_code)
        self.refresh()

    # -- construction -------------------------------------------------------------------------

    def _make_outside(self) -> QWidget:
        """What is seen while this Mac is in no farm."""
        self.name = QLineEdit(self._farm.mac_name)
        self.name.setAccessibleName("What this Mac is called")
        self.name.setMaxLength(60)
        self.draws = Switch("Draw pictures on this Mac, too")
        self.draws.setChecked(True)
        self.start = QPushButton("Start a Farm Here")
        self.start.clicked.connect(self._start)
        self.code = QPlainTextEdit()
        self.code.setPlaceholderText("Paste the join code from the other Mac")
        self.code.setAccessibleName("Join code")
        self.code.setTabChangesFocus(True)
        self.code.setFixedHeight(72)
        self.code.textChanged.connect(self.refresh)
        self.join = QPushButton("Join")
        self.join.clicked.connect(self._join)
        named = QHBoxLayout()
        named.addWidget(label("This Mac is called"))
        named.addWidget(self.name, 1)
        first = QHBoxLayout()
        first.addWidget(
            label("No farm yet? Start one here; this Mac makes the codes for the others.",
                  "secondary", wrap=True), 1,
        )  # fmt: skip
        first.addWidget(self.start, 0, Qt.AlignmentFlag.AlignTop)
        second = QHBoxLayout()
        second.addWidget(self.code, 1)
        second.addWidget(self.join, 0, Qt.AlignmentFlag.AlignTop)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(label("Several Macs, one queue", "sheetTitle"))
        column.addWidget(
            label(
                "Macs that work together draw each other’s queues: every picture where it is "
                "finished first. What they say is encrypted, and nobody joins without a code.",
                "secondary",
                wrap=True,
            )
        )
        column.addLayout(named)
        column.addWidget(self.draws)
        column.addWidget(_rule())
        column.addLayout(first)
        column.addWidget(_rule())
        column.addLayout(second)
        column.addStretch(1)
        return page

    def _make_inside(self) -> QWidget:
        """What is seen while it is in one."""
        self.heading = ElidedLabel("", "sheetTitle")
        self.where = label("", "secondary", wrap=True)
        self._rows: dict[str, SeatRow] = {}
        self._offers: dict[tuple[str, str], OfferRow] = {}
        self._list = QVBoxLayout()
        self._list.setSpacing(14)
        self._offer_list = QVBoxLayout()
        self._offer_list.setSpacing(8)
        inner = QWidget()
        inner.setObjectName("plain")
        whole = QVBoxLayout(inner)
        whole.setContentsMargins(0, 4, 12, 4)
        whole.setSpacing(16)
        whole.addLayout(self._offer_list)  # first: somebody is asked something
        whole.addLayout(self._list)
        whole.addStretch(1)
        self.area = QScrollArea()
        self.area.setWidget(inner)
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.given = QPlainTextEdit()
        self.given.setReadOnly(True)
        self.given.setTabChangesFocus(True)
        self.given.setFixedHeight(60)
        self.given.setAccessibleName("Join code for another Mac")
        self.given_note = label(
            "Paste this code on the other Mac, under Other Macs. It is good for one Mac and one "
            "day; whoever has it can join.",
            "small",
            wrap=True,
        )
        self.bring = Switch("Bring what is missing here from the others without asking")
        self.bring.setToolTip(
            f"Models, LoRAs and other networks, up to {self._farm.brings_most} each"
        )
        self.bring.clicked.connect(self._farm.bring)
        self.copy_code = QPushButton("Copy Code")
        self.copy_code.clicked.connect(self._copy)
        self.add = QPushButton("Add a Mac…")
        self.add.clicked.connect(self._farm.invite)
        self.leave = QPushButton("Leave…")
        self.leave.clicked.connect(self._ask_to_leave)
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("This Mac makes its queue by itself until you go on")
        self.stop.clicked.connect(self._stop_or_go_on)
        for button in (self.copy_code, self.add, self.stop, self.leave):
            button.setAutoDefault(False)
        buttons = QHBoxLayout()
        buttons.addWidget(self.leave)
        buttons.addWidget(self.stop)
        buttons.addStretch(1)
        buttons.addWidget(self.copy_code)
        buttons.addWidget(self.add)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(self.heading)
        column.addWidget(self.where)
        column.addWidget(self.area, 1)
        column.addWidget(self.bring)
        column.addWidget(self.given)
        column.addWidget(self.given_note)
        column.addLayout(buttons)
        return page

    # -- showing ------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what there is now."""
        farm = self._farm
        self.outside.setVisible(not farm.within)
        self.inside.setVisible(farm.within)
        self.start.setEnabled(not farm.busy)
        self.join.setEnabled(not farm.busy and bool(self.code.toPlainText().strip()))
        self.join.setText("Joining…" if farm.busy else "Join")
        if not farm.within:
            self._code = ""
            return
        self.heading.set_text(words.plain(farm.name))
        self.where.setText(farm.where)
        self.stop.setText("Go On" if farm.stopped else "Stop")
        self.stop.setEnabled(not farm.busy)
        self.add.setEnabled(not farm.stopped)
        self.bring.setChecked(farm.brings)
        for shown in (self.given, self.given_note, self.copy_code):
            shown.setVisible(bool(self._code))
        self._show_seats()
        self._show_offers()

    def _show_seats(self) -> None:
        seats = {seat.id: seat for seat in self._farm.seat_views()}
        for gone in [known for known in self._rows if known not in seats]:
            _drop(self._rows.pop(gone))
        for place, (member, seat) in enumerate(seats.items()):
            if member not in self._rows:
                row = self._rows[member] = SeatRow()
                row.remove_asked.connect(partial(self._ask_to_remove, member))
                self._list.insertWidget(place, self._rows[member])
            self._rows[member].show_seat(seat)

    def _show_offers(self) -> None:
        offers = {(offer.member, offer.hash): offer for offer in self._farm.offer_views()}
        for gone in [known for known in self._offers if known not in offers]:
            _drop(self._offers.pop(gone))
        for key, offer in offers.items():
            if key not in self._offers:
                row = self._offers[key] = OfferRow()
                row.answered.connect(partial(self._farm.answer, *key))
                self._offer_list.addWidget(row)
            self._offers[key].show_offer(offer)

    def _show_problem(self, error: SfumatoError) -> None:
        self.problem.setText(error.message)
        self.problem.setVisible(True)

    def _show_code(self, code: str) -> None:
        self._code = code
        self.given.setPlainText(code)
        self.refresh()

    # -- doing --------------------------------------------------------------------------------

    def _start(self) -> None:
        self.problem.setVisible(False)
        self._farm.found(self.name.text().strip(), draws=self.draws.isChecked())

    def _join(self) -> None:
        self.problem.setVisible(False)
        code, name = self.code.toPlainText(), self.name.text().strip()
        self._farm.join(code, name, draws=self.draws.isChecked())

    def _copy(self) -> None:
        desktop.copy_text(self._code)
        say_briefly(self, "Code copied")

    def _ask_to_remove(self, member: str) -> None:
        seat = next((s for s in self._farm.seat_views() if s.id == member), None)
        if seat is not None:
            ask(
                self,
                f"Remove “{words.plain(seat.name)}” from the farm?",
                "It draws no more for the others, and makes its own queue by itself; to come back "
                "it needs a new code.",
                "Remove",
                partial(self._farm.remove, member),
            )

    def _stop_or_go_on(self) -> None:
        self.problem.setVisible(False)
        (self._farm.go_on if self._farm.stopped else self._farm.stop)()

    def _ask_to_leave(self) -> None:
        starts = self._farm.told is not None and self._farm.told.starts
        ends = " The farm ends with it for the others, too." if starts else ""
        ask(
            self,
            f"Leave “{words.plain(self._farm.name)}”?",
            "This Mac draws its queue by itself again; joining once more takes a new code." + ends,
            "Leave",
            self._farm.leave,
        )


def _drop(row: QWidget) -> None:
    row.hide()
    row.deleteLater()


def _rule() -> QFrame:
    rule = QFrame()
    rule.setObjectName("separator")
    return rule
