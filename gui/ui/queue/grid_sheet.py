"""“Make a Grid”: two parameters, a list of values for each, and how many pictures that is."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.alternatives import first_group
from gui.errors import SfumatoError
from gui.state.queue.grids import MODEL, GridPlan, Side, axis_kinds, side_help
from gui.state.studio import Studio
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import ElidedLabel, fit_height, icon_button, label, without_shortcut

TYPING_MS = 120
"""After a key, before it is said what the lists come to."""
WIDTH = 560
TEXT = "prompt"


class AxisRow(QWidget):
    """One side: its parameter, and the list of its values.

    Args:
        title: ``Columns``.
        optional: whether it may be left out.
    """

    def __init__(self, title: str, *, optional: bool) -> None:
        super().__init__()
        self.choice = Choice(title)
        if optional:
            self.choice.addItem("None", "")
        for kind in axis_kinds().values():
            self.choice.addItem(kind.label, kind.field)
        self.choice.setFixedWidth(150)
        self.edit = QLineEdit()
        self.edit.setAccessibleName(f"Values of the {title.lower()}")
        self.pick = icon_button("plus", f"Choose values of the {title.lower()}")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.choice)
        row.addWidget(self.edit, 1)
        row.addWidget(self.pick)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)

    def side(self) -> Side:
        return Side(str(self.choice.currentData() or ""), self.edit.text())

    def values(self) -> list[str]:
        """The list's items, as they are typed."""
        return [item.strip() for item in self.edit.text().split(",") if item.strip()]

    def toggle(self, value: str) -> None:
        """Put a value on the list, or take it off."""
        there = self.values()
        if value in there:
            there.remove(value)
        else:
            there.append(value)
        self.edit.setText(", ".join(there))


class GridSheet(QDialog):
    """Over the main window.  What was typed stays for the next time.

    Args:
        studio: whose draft the cells are made from.
    """

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._studio = studio
        self._plan: GridPlan | None = None
        self._asked: dict[AxisRow, dict[str, str]] = {}
        self.setWindowTitle("Make a Grid")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setMinimumWidth(WIDTH)
        self.prompt = ElidedLabel("", "secondary")
        self.columns = AxisRow("Columns", optional=False)
        self.rows = AxisRow("Rows", optional=True)
        self.sum = label("", "statement")
        self.problem = label("", "problem", wrap=True)
        self.note = label(
            "Each cell becomes a picture of its own, all from the same seed unless that is a side. "
            "Once all are finished a labelled contact sheet is saved with them.",
            "small",
            wrap=True,
        )
        self.cancel = QPushButton("Cancel")
        self.make = QPushButton("Add to Queue")
        self.make.setObjectName("sheetPrimary")
        self.make.setDefault(True)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(TYPING_MS)
        self._later.timeout.connect(self.refresh)
        self._lay_out()
        self._connect()
        self.rows.choice.select_data("steps")
        self.columns.choice.select_data("guidance_scale")

    def _lay_out(self) -> None:
        title = label("Make a Grid", "sheetTitle")
        form = QGridLayout()
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(12)
        for k, (text, row) in enumerate((("Columns", self.columns), ("Rows", self.rows))):
            name = label(text)
            name.setBuddy(row.choice)
            form.addWidget(name, k, 0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            form.addWidget(row, k, 1)
        form.setColumnStretch(1, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.sum, 1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.make)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 18)
        column.setSpacing(12)
        column.addWidget(title)
        column.addWidget(self.prompt)
        column.addLayout(form)
        column.addWidget(self.note)
        column.addWidget(self.problem)
        column.addLayout(buttons)

    def _connect(self) -> None:
        for row in (self.columns, self.rows):
            self._asked[row] = {}
            row.choice.currentIndexChanged.connect(lambda _, row=row: self._on_choice(row))
            row.edit.textChanged.connect(lambda *_: self._later.start())
            row.edit.textEdited.connect(lambda text, row=row: self._remember(row, text))
            row.pick.clicked.connect(lambda _=False, row=row: self._show_values(row))
        self.cancel.clicked.connect(self.reject)
        self.make.clicked.connect(self._make)

    def open_with_draft(self) -> None:
        """Show the sheet for the draft as it is now."""
        prompt = self._studio.draft.draft.request.prompt
        self.prompt.set_text(" ".join(prompt.split()) or "There is no prompt yet.")
        if _options(prompt) and self.columns.side().field != TEXT:
            self.columns.choice.select_data(TEXT)
        for row in (self.columns, self.rows):
            self._on_choice(row)
        self.refresh()
        self.show()
        self.raise_()
        fit_height(self)
        self.columns.edit.setFocus()

    # -- the sides ----------------------------------------------------------------------------

    def _remember(self, row: AxisRow, text: str) -> None:
        self._asked[row][row.side().field] = text

    def _on_choice(self, row: AxisRow) -> None:
        """Another parameter: its list as it was typed last, and what such a list looks like."""
        field = row.side().field
        row.edit.setEnabled(bool(field))
        row.edit.setText(self._asked[row].get(field, ""))
        row.edit.setPlaceholderText(self._example(row, field))
        row.edit.setToolTip(words.plain_tip(side_help(field)))
        row.pick.setVisible(bool(self._choices(field)))
        self._later.start()

    def _example(self, row: AxisRow, field: str) -> str:
        if field == TEXT:
            prompt = self._studio.draft.draft.request.prompt
            taken = row is self.rows and self.columns.side().field == TEXT
            options = _options(prompt, skip=1 if taken else 0)
            return " | ".join(options) or "a red fox | a blue fox"
        return side_help(field)

    def _choices(self, field: str) -> tuple[str, ...]:
        if field == MODEL:
            return tuple(e.name for e in self._studio.models.entries() if not e.problem)
        return axis_kinds()[field].choices if field else ()

    def _show_values(self, row: AxisRow) -> None:
        menu = self.values_menu(row)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(row.pick.mapToGlobal(QPoint(0, row.pick.height())))

    def values_menu(self, row: AxisRow) -> QMenu:
        """All a side may be, to be put on its list."""
        menu, there = QMenu(self), row.values()
        for value in self._choices(row.side().field):
            written = f'"{value}"' if "," in value else value
            action = menu.addAction(without_shortcut(value))
            action.setCheckable(True)
            action.setChecked(written in there)

            def put(_on: bool, written: str = written) -> None:
                row.toggle(written)
                self._remember(row, row.edit.text())

            action.triggered.connect(put)
        return menu

    # -- what it comes to ---------------------------------------------------------------------

    def refresh(self) -> None:
        """Say what the lists come to, or what is wrong with them."""
        self._later.stop()
        self._plan = None
        try:
            self._plan = self._studio.requests.plan_grid(self.columns.side(), self.rows.side())
        except SfumatoError as error:
            unstarted = not (self.columns.edit.text().strip() or self.rows.edit.text().strip())
            self.problem.setText("" if unstarted else error.message)
            self.sum.setText("")
        else:
            grid = self._plan.grid
            self.problem.setText("")
            count = words.plural(self._plan.count, "picture")
            self.sum.setText(f"{grid.width} × {grid.height}: {count}")
        self.make.setEnabled(self._plan is not None)
        self.problem.setVisible(bool(self.problem.text()))
        fit_height(self)

    def _make(self) -> None:
        self.refresh()  # the last key may have come just now
        if self._plan is not None and self._studio.make_grid(self._plan):
            self.accept()


def _options(prompt: str, skip: int = 0) -> list[str]:
    """The alternatives of a prompt's group."""
    try:
        for _ in range(skip):
            group = first_group(prompt)
            prompt = prompt[group[1] :] if group is not None else ""
        group = first_group(prompt)
    except SfumatoError:
        return []
    return group[2] if group is not None else []
