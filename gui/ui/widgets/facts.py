"""Facts as a table of label and value, the technical ones behind a disclosure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.controls import Section, label

TECHNICAL = "Technical details"


def facts_label() -> QLabel:
    """A label for `facts_html`."""
    made = label("", "", wrap=True)
    made.setTextFormat(Qt.TextFormat.RichText)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    made.setAlignment(Qt.AlignmentFlag.AlignTop)
    return made


def facts_html(rows: Iterable[tuple[str, str]], notes: Iterable[str] = ()) -> str:
    """A small table, and sentences below it.  Everything in it is escaped: much of it comes from
    strangers' files."""
    colour = current_palette().secondary
    table = "".join(
        f'<tr><td style="color:{colour}; padding:0 12px 5px 0">{escape(name)}</td>'
        f'<td style="padding-bottom:5px">{escape(value)}</td></tr>'
        for name, value in rows
    )
    below = "".join(f'<p style="color:{colour}">{escape(note)}</p>' for note in notes)
    return f'<table cellspacing="0">{table}</table>{below}'


class TechnicalDetails(Section):
    """What only experts ask for; closed until it is opened."""

    def __init__(self) -> None:
        text = facts_label()
        super().__init__(TECHNICAL, text)
        self.text = text

    def show_facts(self, rows: Iterable[tuple[str, str]], notes: Iterable[str] = ()) -> None:
        """None at all: it takes no room."""
        rows = list(rows)
        self.text.setText(facts_html(rows, notes))
        self.setVisible(bool(rows))
