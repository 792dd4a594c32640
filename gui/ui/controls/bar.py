"""The options of the tool Control: the ControlNets of the next picture, and what is set of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSize, Signal
from PySide6.QtGui import QIcon, QImage, QShowEvent
from PySide6.QtWidgets import QFileDialog, QMenu, QPushButton, QSizePolicy, QVBoxLayout

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.state.background import Background
from gui.state.controls import ControlChoice, name_of
from gui.state.desktop import keep_dropped_image
from gui.state.pictures.images import PICTURES_FILTER
from gui.ui.canvas.option_widgets import RoomyOptions
from gui.ui.controls.editor import ControlEditor
from gui.ui.widgets.controls import label, without_shortcut
from gui.ui.widgets.flow_layout import FlowLayout
from gui.ui.widgets.icons import icon

if TYPE_CHECKING:
    from gui.state.controls import ControlDesk

_LONGEST = 40
_CHIP = 22
"""Characters of a name on a button."""
_WIDTH = 640
ROOMY = 480
"""So wide it must be for everything to stand in it."""
WHAT = "A ControlNet leads the picture by another one: by its outlines, depth, pose or colours."
FIND_NETWORKS, FIND_MODELS = "Find ControlNets on the Hub", "Find Models on the Hub"
NONE_YET = "You have none yet: get one from the Hub, or convert one together with a model."


class ControlBar(RoomyOptions):
    """A button for each control, one to add more, and the editor of the one that is chosen.

    Args:
        desk: the draft's controls.
        shown: path of the picture on show; empty: none is.
    """

    failed = Signal(SfumatoError)
    gallery_wanted = Signal(int)
    """One of the person's own pictures is to lead by the control at this place."""
    hub_wanted = Signal()
    """ControlNets are to be looked for on the Hub."""
    model_wanted = Signal()
    """Another model is to be looked for there: this one can have none."""
    control_shown = Signal(QImage)
    """What the chosen control's network will be shown; null: nothing yet."""

    def __init__(self, desk: ControlDesk, shown: Callable[[], str] = lambda: "") -> None:
        super().__init__()
        self._desk = desk
        self._shown = shown
        self._background = Background(self)
        self._at = 0
        self.chips: list[QPushButton] = []
        self.menu: QMenu | None = None
        self.about = label("", "small", wrap=True)
        self.add = QPushButton("ControlNet")
        self.add.setObjectName("toggle")
        self.add.setIcon(icon("plus", tone="secondary"))
        self.add.setIconSize(QSize(12, 12))
        self.add.setAccessibleName("Add a ControlNet")
        self.add.clicked.connect(self._on_add)
        self.hub = QPushButton(FIND_NETWORKS)
        self.hub.setObjectName("link")
        self.hub.clicked.connect(self._on_hub)
        self.editor = ControlEditor(desk)
        self.editor.menu_wanted.connect(self._ask_for_picture)
        self.editor.dropped.connect(self._take)
        self.editor.shown.connect(self.control_shown)
        self._line = FlowLayout(spacing=6, centred=False)
        for button in (self.add, self.hub):
            self._line.addWidget(button)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.about)
        column.addLayout(self._line)
        column.addWidget(self.editor)
        desk.changed.connect(self._show_controls)
        desk.networks.failed.connect(self.failed)
        self._show_controls()

    @property
    def image(self) -> QImage:
        """What the chosen control's network will be shown; null where it leads nothing."""
        controls = self._desk.controls
        leads = self._at < len(controls) and controls[self._at].on
        return self.editor.image if leads else QImage()

    def needed_width(self) -> int:
        return ROOMY

    def show_room(self) -> None:
        self.editor.set_roomy(self.roomy)
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH, super().sizeHint().height())

    def close_down(self) -> None:
        """Wait for what is being written."""
        self._background.close()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._desk.networks.refresh()

    # -- what is shown ------------------------------------------------------------------------

    def choose(self, place: int) -> None:
        """Show what is set of a control."""
        self._at = place
        self._show_controls()

    def _show_controls(self) -> None:
        desk = self._desk
        controls = desk.controls
        if len(controls) > len(self.chips):
            self._at = len(controls) - 1  # the new one, or one that came back
        self._at = min(self._at, max(0, len(controls) - 1))
        self._make_chips(len(controls))
        names = _told_apart([name_of(control) for control in controls])
        for place, (chip, control) in enumerate(zip(self.chips, controls, strict=True)):
            name = names[place]
            problem = desk.problem(control)
            mark = "" if control.on else "  (off)"
            chip.setText(without_shortcut(words.shortened(name, _CHIP)) + mark)
            chip.setAccessibleName(f"{name}{mark}")
            chip.setIcon(icon("warning", tone="warning") if problem and control.on else QIcon())
            chip.setToolTip(words.plain_tip(problem or name))
            chip.setChecked(place == self._at)
        if controls:
            self.editor.show_control(self._at)
        else:
            self.editor.place = -1
        self.editor.setVisible(bool(controls))
        self._show_about()
        self.control_shown.emit(self.image)
        self.updateGeometry()

    def _make_chips(self, count: int) -> None:
        while len(self.chips) > count:
            chip = self.chips.pop()
            self._line.removeWidget(chip)
            chip.hide()
            chip.deleteLater()
        while len(self.chips) < count:
            chip = QPushButton()
            chip.setObjectName("toggle")
            chip.setCheckable(True)
            chip.setIconSize(QSize(12, 12))
            place = len(self.chips)
            chip.clicked.connect(lambda *_, place=place: self.choose(place))
            self.chips.append(chip)
            for button in (self.add, self.hub):  # they stay at the end
                self._line.removeWidget(button)
            for button in (chip, self.add, self.hub):
                self._line.addWidget(button)

    def _show_about(self) -> None:
        desk = self._desk
        reason = desk.no_places
        nothing = desk.networks.listed and not desk.choices
        text = reason or (f"{WHAT} {NONE_YET}" if nothing else WHAT)
        self.about.setText(text)
        self.about.setVisible(not desk.controls)
        self.hub.setVisible(nothing or bool(reason))
        self.hub.setText(FIND_MODELS if reason else FIND_NETWORKS)
        self.add.setVisible(not nothing and not reason)
        self.add.setEnabled(not desk.full)

    def _on_hub(self) -> None:
        (self.model_wanted if self._desk.no_places else self.hub_wanted).emit()

    # -- adding -------------------------------------------------------------------------------

    def _on_add(self) -> None:
        self.menu = self.make_menu()
        self.menu.popup(self.add.mapToGlobal(self.add.rect().bottomLeft()))

    def make_menu(self) -> QMenu:
        """What can be added; what does not fit the model is there with the reason."""
        desk = self._desk
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        fits = [choice for choice in desk.choices if not choice.misfit]
        for choice in fits:
            action = menu.addAction(_entry(choice))
            action.setToolTip(words.plain_tip(choice.remark or choice.name))
            action.triggered.connect(lambda _=False, name=choice.name: desk.add(name))
        others = [
            (choice.name, _why(choice.misfit)) for choice in desk.choices if choice.misfit
        ] + [(each.name, _why(each.problem)) for each in desk.networks.networks.strange]
        if fits and others:
            menu.addSeparator()
        for name, why in others:
            told = f"{words.shortened(name, _LONGEST)}\t{why}"
            menu.addAction(without_shortcut(told)).setEnabled(False)
        if fits or others:
            menu.addSeparator()
        menu.addAction("Find on the Hub…").triggered.connect(lambda *_: self.hub_wanted.emit())
        menu.addAction("Show ControlNets Folder").triggered.connect(
            lambda *_: desk.networks.show_controls_folder()
        )
        menu.addAction("Show Preprocessors Folder").triggered.connect(
            lambda *_: desk.networks.show_preprocessors_folder()
        )
        return menu

    # -- control pictures ---------------------------------------------------------------------

    def _ask_for_picture(self, at: QPoint) -> None:
        self.menu = self.make_picture_menu()
        self.menu.popup(at)

    def make_picture_menu(self) -> QMenu:
        """Where a control picture can be taken from."""
        menu = QMenu(self)
        desk, place = self._desk, self._at
        menu.addAction("From the Gallery…").triggered.connect(
            lambda *_: self.gallery_wanted.emit(place)
        )
        menu.addAction("Choose a File…").triggered.connect(lambda *_: self._choose_file(place))
        for text, path in (
            ("The Picture on Show", self._shown()),
            ("The Starting Picture", desk.start_picture),
        ):
            action = menu.addAction(text)
            action.setEnabled(bool(path))
            action.triggered.connect(lambda _=False, path=path: desk.set_picture(place, path))
        if desk.controls[place].picture:
            menu.addSeparator()
            menu.addAction("Remove").triggered.connect(lambda *_: desk.set_picture(place, ""))
        return menu

    def _choose_file(self, place: int) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a Control Picture", "", PICTURES_FILTER)
        if path:
            self._desk.set_picture(place, path)

    def _take(self, found: str | QImage) -> None:
        """Take what was dropped; pixels without a file are kept as one."""
        place = self._at
        if isinstance(found, QImage):
            self._background.run(
                lambda: keep_dropped_image(found),
                lambda path: self._desk.set_picture(place, path),
                self.failed.emit,
            )
        elif found:
            self._desk.set_picture(place, found)
        else:
            message = "What was dropped is no picture on this computer; drop another."
            self.failed.emit(SfumatoError(ErrorKind.BAD_IMAGE, message))

    def use_picture(self, path: str) -> None:
        """Take a picture for the chosen control, or for a new one of the first network that fits;
        where there is none, `failed` says so."""
        desk = self._desk
        if desk.controls:
            desk.set_picture(self._at, path)
            return
        fits = next((choice for choice in desk.choices if not choice.misfit), None)
        if fits is not None:
            desk.add(fits.name, path)
            return
        what = desk.no_places.partition(";")[0] or "There is no ControlNet that fits this model"
        message = f"{what}; choose another model, or get one from the Hub."
        self.failed.emit(SfumatoError(ErrorKind.UNSUPPORTED, message))


def _told_apart(names: list[str]) -> list[str]:
    """The second of a name has a 2 before it, where its end may be cut off."""
    return [
        f"{count} · {name}" if (count := names[: place + 1].count(name)) > 1 else name
        for place, name in enumerate(names)
    ]


def _entry(choice: ControlChoice) -> str:
    name = without_shortcut(words.shortened(choice.name, _LONGEST))
    return f"{name}\t{choice.kind}  ·  {words.size(choice.bytes)}"


def _why(sentence: str) -> str:
    """The reason alone: its name stands before it, and there is nothing to do about it here."""
    return words.capital((sentence.partition(": ")[2] or sentence).partition("; ")[0].rstrip("."))
