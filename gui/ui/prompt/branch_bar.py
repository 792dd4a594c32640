"""At the head of the prompt panel while the next picture goes on from a step of an earlier one."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout

from gui import words
from gui.request import Branch
from gui.ui.widgets.controls import ElidedLabel, icon_button, label

HINT = "Prompt, guidance, scheduler, steps and seed count from there on."


class BranchBar(QFrame):
    """Says from what, and takes it away."""

    removed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("branch")
        self.title = ElidedLabel("", "statement")
        self.prompt = ElidedLabel("", "small")
        self.remove = icon_button("close", "Remove the branch")
        self.remove.clicked.connect(self.removed)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(self.title)
        texts.addWidget(self.prompt)
        texts.addWidget(label(HINT, "small", wrap=True))
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 6, 9)
        row.setSpacing(4)
        row.addLayout(texts, 1)
        row.addWidget(self.remove, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def set_branch(self, branch: Branch | None) -> None:
        """None: there is none, and nothing is seen."""
        self.setVisible(branch is not None)
        if branch is not None:
            self.title.set_text(f"Branches after step {branch.step}")
            prompt = words.shortened(" ".join(branch.earlier.prompt.split()), 200)
            self.prompt.set_text(f"of “{prompt}”")
