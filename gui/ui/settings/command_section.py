"""Settings › Command line: put `sfumato` where terminals find it, or take it away."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from gui.state.bundle import Bundle, Installed
from gui.ui.widgets.controls import ElidedLabel


class CommandSection(QWidget):
    """Bound to a `Bundle`."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self._bundle = bundle
        self._found: Installed | None = None
        self.state = ElidedLabel("…")
        self.button = QPushButton("Install…")
        self.button.setAutoDefault(False)
        self.button.setEnabled(False)
        self.button.setAccessibleName("Install the command line tool")
        self.button.clicked.connect(self._on_clicked)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.state, 1)
        row.addWidget(self.button)
        bundle.looked.connect(self._show)

    def look(self) -> None:
        """Show what there is now."""
        self._bundle.look()

    def _show(self, found: Installed) -> None:
        self._found = found
        installed = found.ours and found.current
        if installed:
            said = f"“sfumato” works in terminals ({found.file})"
        elif found.ours:
            said = "“sfumato” starts another copy of the app"
        elif found.there:
            said = f"Another program’s command lies at {found.file}"
        else:
            said = "“sfumato” is not known in terminals"
        self.state.set_text(said)
        word = "Remove…" if installed else "Install…"
        self.button.setText(word)
        self.button.setAccessibleName(f"{word.rstrip('…')} the command line tool")
        self.button.setEnabled(found.ours or not found.there)

    def _on_clicked(self) -> None:
        self.button.setEnabled(False)
        if self._found is not None and self._found.ours and self._found.current:
            self._bundle.remove_command()
        else:
            self._bundle.install_command()
