"""The window as a whole: start, look, layout, settings, menus, reach."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QByteArray, QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QCheckBox,
    QFrame,
    QRadioButton,
    QScrollBar,
    QWidget,
)

from gui.coreml import precision
from gui.coreml.model import Family
from gui.coreml.processor import Processor
from gui.coreml.sidecar import ModelCard, Sidecar
from gui.state.model_entry import ModelEntry
from gui.state.settings import Settings
from gui.ui.canvas.empty_state import Mist
from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.palette import DARK, LIGHT
from tests.support.pictures import picture
from tests.ui.conftest import make_info

HEAVY = (
    "torch", "diffusers", "transformers", "coremltools", "numpy", "PIL", "scipy", "httpx",
    "google.protobuf",
)  # fmt: skip

_START = """
import json, os, sys
from gui import app as application
app = application.make_application()
from tests.support.fake_queue import FakeQueue
from PySide6.QtCore import QTimer
heavy = json.loads(sys.argv[1])
def loaded(): return sorted(name for name in heavy if name in sys.modules)
report = {}
queue = FakeQueue()
window = application.open_window(app, queue)
def first(): report.update(first=loaded(), workspace_at_first=window.workspace is not None,
                           started_at_first=queue.started)
window.first_painted.connect(first)
def after():
    report.update(after=loaded(), started=queue.started, model=window.workspace.studio.model.name)
    window.workspace.prompt_panel.prompt.edit.setPlainText("a cat")
    QTimer.singleShot(1500, end)
def end():
    report["end"] = loaded()
    print(json.dumps(report), flush=True)
    window.close()
window.furnished.connect(lambda: QTimer.singleShot(300, after))
sys.exit(app.exec())
"""


def start_in_own_process(tmp_path, source, *arguments, **extra):
    env = {**os.environ, "SFUMATO_HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen", **extra}
    return subprocess.run(
        [sys.executable, "-c", source, *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_window_process_loads_nothing_heavy_and_starts_the_engine_after_the_first_paint(
    tmp_path,
):
    import json

    done = start_in_own_process(tmp_path, _START, json.dumps(HEAVY))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["first"] == report["after"] == report["end"] == []
    assert report["workspace_at_first"] is False
    assert (report["started_at_first"], report["started"]) == (0, 1)


_FIRST_PAINT = """
import os, sys
from gui import app as application
app = application.make_application()
window = application.open_window(app)
def first():
    print(*sorted(name for name in sys.modules if name.split(".")[0] == "gui"), flush=True)
    os._exit(0)
window.first_painted.connect(first)
app.exec()
"""


def test_the_first_paint_waits_for_nothing_but_the_empty_window(tmp_path):
    """Each module more is time more before anything is seen; `python -m tests.bench window`."""
    done = start_in_own_process(tmp_path, _FIRST_PAINT)
    needed = {
        "gui", "gui.app", "gui.locks", "gui.paths", "gui.private_files", "gui.process",
        "gui.process.crashes", "gui.state", "gui.state.settings", "gui.ui", "gui.ui.main_window",
        "gui.ui.widgets", "gui.ui.widgets.measures", "gui.ui.widgets.palette",
    }  # fmt: skip
    assert set(done.stdout.split()) == needed, done.stderr


_OPEN_FILE = """
import sys
from gui import app as application
from tests.support.fake_queue import FakeQueue
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtCore import QTimer
app = application.make_application()
app.sendEvent(app, QFileOpenEvent(sys.argv[1]))      # Finder may be quicker than the window
window = application.open_window(app, FakeQueue())
def look():
    panel = window.workspace.prompt_panel
    if not panel.start.path():  # the picture is still being read
        QTimer.singleShot(50, look)
        return
    print(panel.start.path())
    studio = window.workspace.studio
    studio.model_selected.connect(lambda entry: (print(entry.folder), window.close()))
    app.sendEvent(app, QFileOpenEvent(sys.argv[2]))
window.furnished.connect(lambda: QTimer.singleShot(50, look))
sys.exit(app.exec())
"""


def test_files_from_finder_arrive_early_or_late(tmp_path):
    file = tmp_path / "start.png"
    picture().save(str(file))
    folder = tmp_path / "a-model"
    (folder / "Unet.mlpackage").mkdir(parents=True)
    done = start_in_own_process(tmp_path / "home", _OPEN_FILE, str(file), str(folder))
    assert done.stdout.split("\n")[:2] == [str(file), str(folder)], done.stderr


_ENDED = """
import functools, os, signal, sys
from PySide6.QtCore import QTimer
from gui import app as application
from tests.support.fake_queue import FakeQueue

class Queue(FakeQueue):
    def start(self):
        QTimer.singleShot(0, lambda: os.kill(os.getpid(), getattr(signal, sys.argv[1])))
    def shutdown(self):
        print("shut down", flush=True)

busy = QTimer()
if sys.argv[2] == "busy":
    busy.timeout.connect(lambda: sum(range(10_000)))
application.open_window = functools.partial(application.open_window, queue=Queue())
real = application.make_application
def made():
    app = real()
    busy.start(0)
    return app
application.make_application = made
code = application.main()
print("code", code)
sys.stdout.flush(); os._exit(0)
"""


@pytest.mark.parametrize(
    ("number", "what"), [("SIGINT", "idle"), ("SIGINT", "busy"), ("SIGTERM", "idle")]
)
def test_a_signal_closes_the_window_in_order(tmp_path, number, what):
    """Whether Python runs just then or Qt waits; nothing is raised into whatever runs."""
    done = start_in_own_process(tmp_path, _ENDED, number, what)
    assert done.stdout.split("\n")[:2] == ["shut down", "code 0"], done.stderr
    assert "KeyboardInterrupt" not in done.stderr
    [settings] = tmp_path.rglob("settings.ini")
    assert "geometry" in settings.read_text()


_SCALED = """
import sys
from gui import app as application
from tests.support.fake_queue import FakeQueue
app = application.make_application()
window = application.make_window(app)
application.furnish(app, window, FakeQueue())
window.resize(1100, 700); window.show(); app.processEvents()
shot = window.grab()
print(shot.width(), shot.height(), shot.devicePixelRatio())
import os; sys.stdout.flush(); os._exit(0)
"""


@pytest.mark.parametrize("scale", [1, 2])
def test_the_window_is_drawn_at_the_screens_scale(tmp_path, scale):
    done = start_in_own_process(tmp_path, _SCALED, QT_SCALE_FACTOR=str(scale))
    assert done.stdout.split() == [str(1100 * scale), str(700 * scale), f"{scale}.0"], done.stderr


# -- look ---------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    rgb = QColor(colour)
    parts = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (rgb.redF(), rgb.greenF(), rgb.blueF())
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out_from_every_ground_it_is_on(palette):
    pairs = [
        (text, ground)
        for text in (palette.text, palette.secondary)
        for ground in (
            palette.panel,
            palette.canvas,
            palette.field,
            palette.overlay,
            palette.accent_soft,
        )
    ]
    pairs += [
        (text, ground)
        for text in (palette.accent, palette.good, palette.warning, palette.error)
        for ground in (palette.panel, palette.field, palette.overlay, palette.accent_soft)
    ]
    pairs += [
        (palette.secondary, palette.pressed),  # a segment that is not chosen
        (palette.on_accent, palette.accent),
        (palette.on_accent, palette.accent_hover),
        (palette.on_accent, palette.accent_pressed),
        (palette.text, palette.error_soft),
    ]
    poor = {pair: round(contrast(*pair), 2) for pair in pairs if contrast(*pair) < 4.5}
    assert poor == {}


@pytest.mark.parametrize(("choice", "palette"), [("dark", DARK), ("light", LIGHT)])
@pytest.mark.parametrize("kind", [QCheckBox, QRadioButton])
def test_an_empty_box_is_seen(workspace, kind, choice, palette):
    """WCAG 2.2, 1.4.11: what shows where a control is stands out 3 : 1 from what is beside it."""
    workspace.studio.settings.appearance = choice
    box = kind("", workspace)
    box.resize(30, 30)
    shot = box.grab().toImage()
    middle = [shot.pixelColor(x, shot.height() // 2).name() for x in range(shot.width())]
    edge = max(middle, key=lambda colour: contrast(colour, palette.panel))
    for ground in (palette.panel, palette.field, palette.overlay, palette.canvas):
        assert contrast(edge, ground) >= 3.0, (edge, ground)


@pytest.mark.parametrize(("choice", "palette"), [("dark", DARK), ("light", LIGHT)])
def test_the_appearance_changes_at_once(workspace, choice, palette):
    workspace.studio.settings.appearance = "light" if choice == "dark" else "dark"
    workspace.studio.settings.appearance = choice
    shot = workspace.main_window.grab().toImage()
    ratio = shot.devicePixelRatio()
    canvas = workspace.canvas.mapTo(workspace.main_window, workspace.canvas.rect().topLeft())
    at = (round((canvas.x() + 6) * ratio), round((canvas.y() + 30) * ratio))
    assert shot.pixelColor(*at).name().upper() == palette.canvas
    panel = workspace.prompt_panel
    at = panel.mapTo(workspace.main_window, panel.rect().topLeft())
    pixel = shot.pixelColor(round((at.x() + 3) * ratio), round((at.y() + 60) * ratio))
    assert pixel.name().upper() == palette.panel


# -- layout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1024, 640), (2560, 1440)])
def test_everything_has_room_from_small_to_large(workspace, size):
    window = workspace.main_window
    window.resize(*size)
    QApplication.processEvents()
    assert (window.width(), window.height()) == size
    button = workspace.prompt_panel.generate
    assert window.rect().contains(button.mapTo(window, button.rect().center()))
    for widget in workspace.findChildren(QAbstractButton):
        if widget.isVisible() and widget.text() and widget.visibleRegion().boundingRect():
            needed = widget.fontMetrics().horizontalAdvance(widget.text())
            assert widget.width() >= needed, widget.text()


def test_every_example_is_whole_in_a_low_window_below_a_notice(workspace, qtbot):
    empty, window = workspace.canvas.empty, workspace.main_window
    things = ("apple", "cat", "rocket", "sunflower", "pizza", "penguin")
    examples = tuple(f"a {thing} on a ground of many colours in the evening" for thing in things)
    card = ModelCard("What it draws, in many words. " * 8, examples=examples)
    note = Sidecar(Family.SD1, name="Fine", card=card)
    window.resize(1024, 640)
    workspace.canvas.set_model(ModelEntry(Path("/m"), info=make_info(Path("/m")), sidecar=note))
    workspace.studio.notice.emit("A model that was just downloaded is ready to be used. " * 2)
    chips = [empty._flow.itemAt(k).widget() for k in range(len(things))]

    def whole() -> bool:
        places = [chip.geometry().translated(empty.chips.pos()) for chip in chips]
        apart = not any(a.intersects(b) for a, b in itertools.combinations(places, 2))
        return apart and all(empty.rect().contains(place) for place in places)

    qtbot.waitUntil(whole)
    figure = next(iter(empty.findChildren(Mist)))
    assert figure.isHidden()
    window.resize(1320, 1000)
    qtbot.waitUntil(lambda: not figure.isHidden() and whole())


def test_columns_can_be_hidden_and_come_back(workspace):
    for action, column in (
        (workspace.actions_.models, workspace.models_panel),
        (workspace.actions_.options, workspace.prompt_panel),
    ):
        action.trigger()
        assert not column.isVisible()
        action.trigger()
        assert column.isVisible()


def test_state_comes_back_at_the_next_start(workspace, open_workspace, tmp_path):
    start = tmp_path / "start.png"
    picture().save(str(start))
    panel, window = workspace.prompt_panel, workspace.main_window
    panel.prompt.edit.setPlainText("two lines\nof prompt")
    panel.negative.edit.setPlainText("noise")
    panel.controls["steps"].input.spin.setValue(33)
    panel.scheduler.setCurrentText("UniPC")
    QTest.keyClicks(panel.seed.field, "77")
    panel.start.set_path(str(start))
    panel.controls["start_image.strength"].input.spin.setValue(0.4)
    panel.controls["compute_unit"].input.select_data("CPU_AND_NE")
    window.resize(1200, 700)
    workspace.columns.setSizes([240, 600, 360])
    sizes = workspace.columns.sizes()
    before = panel.draft()
    workspace.actions_.models.trigger()
    window.close()
    again, _ = open_workspace()
    assert again.prompt_panel.draft() == before
    assert again.models_panel.isHidden()
    again.actions_.models.trigger()
    QApplication.processEvents()
    assert abs(again.columns.sizes()[2] - sizes[2]) <= 2


@pytest.mark.parametrize(
    "path", ["/closed/x.png", "x" * 300 + ".png", "/a\0b.png", "~nobody/x.png", "/dev/zero"]
)
def test_a_starting_picture_that_cannot_be_reached_costs_no_start(
    home, open_workspace, qtbot, path
):
    settings = Settings()
    settings.draft = {"prompt": "a fox", "start_image": path, "strength": 0.4}
    settings.sync()
    workspace, _ = open_workspace()
    panel, banner = workspace.prompt_panel, workspace.canvas.banner
    assert panel.prompt.text() == "a fox" and panel.generate.isEnabled()
    qtbot.waitUntil(lambda: bool(banner.statement.text()))
    assert banner.statement.text().endswith(".")
    assert panel.start.path() == ""


def test_odd_bytes_of_one_piece_cost_that_piece_alone(home, open_workspace, monkeypatch, qtbot):
    settings = Settings()
    settings.save_layout("shown", QByteArray(b"\xff\x00\xfe"))
    settings.save_layout("columns", QByteArray(b"\x00\x00\x00\xff junk"))
    settings.save_layout("geometry", QByteArray(b"\x01\xd9\xd0\xcb junk"))
    settings.draft = {"prompt": "a fox"}
    settings.sync()
    workspace, _ = open_workspace()
    assert workspace.prompt_panel.prompt.text() == "a fox"
    assert min(workspace.columns.sizes()[1:]) > 0

    def broken(*_: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr("gui.ui.desks.session.Draft.from_json", broken)
    again, _ = open_workspace()
    assert again.prompt_panel.generate is not None
    said = again.canvas.banner.statement
    qtbot.waitUntil(lambda: "prompt and its options could not be restored" in said.text())


def test_a_damaged_settings_file_costs_no_start(home, open_workspace):
    file = home / "data" / "settings.ini"
    file.parent.mkdir(parents=True)
    file.write_text(
        "[session]\ndraft={not json\n[window]\nappearance=purple\n[models]\nfolders=12\n"
        "[layout]\n1\\columns=@ByteArray(junk)\n1\\geometry=junk\n"
    )
    workspace, _ = open_workspace()
    assert workspace.prompt_panel.prompt.text() == ""
    assert workspace.studio.settings.appearance == "system"


def test_closing_ends_the_queue(workspace, queue):
    workspace.main_window.close()
    assert queue.is_shut_down


# -- reach --------------------------------------------------------------------------------------


def focusable(root: QWidget) -> list[QWidget]:
    return [
        w
        for w in root.findChildren(QWidget)
        if w.focusPolicy() & Qt.FocusPolicy.TabFocus
        and not isinstance(w, QScrollBar)
        and w.objectName() not in ("qt_scrollarea_viewport", "qt_spinbox_lineedit")
        and w.isVisibleTo(root)
    ]


def name_of(widget: QWidget) -> str:
    return widget.accessibleName() or getattr(widget, "text", lambda: "")()


def test_every_control_has_a_name_for_assistive_programs(workspace, queue, qtbot):
    workspace.prompt_panel.advanced_section.set_open(True)
    workspace.models_panel.details_section.set_open(True)
    workspace.generate()
    workspace.prompt_panel.prompt.edit.setPlainText("x")
    QTest.mouseClick(workspace.prompt_panel.generate, Qt.MouseButton.LeftButton)
    queue.run()
    queue.picture(picture())
    controls = focusable(workspace.main_window)
    nameless = [
        f"{type(w).__name__} in {type(w.parent()).__name__}" for w in controls if not name_of(w)
    ]
    assert len(controls) > 25
    assert nameless == []


SHEETS = (
    "settings", "measure", "farm", "shortcuts", "about", "reports", "make_grid", "styles", "tags",
    "info", "export", "earlier_prompts", "save_preset", "convert",
)  # fmt: skip
"""Commands that open a sheet, a window or a pop-over."""


def test_every_sheet_names_its_controls(workspace, queue, qtbot):
    """Those that are reached by Tab, and every button there is to be seen."""
    workspace.prompt_panel.prompt.edit.setPlainText("x")
    workspace.generate()
    queue.run()
    queue.picture(picture())
    queue.finish()
    qtbot.waitUntil(workspace.actions_.export.isEnabled)
    window, nameless = workspace.main_window, []
    for command in SHEETS:
        getattr(workspace.actions_, command).trigger()
        opened = [
            each
            for each in QApplication.topLevelWidgets()
            if each.isVisible() and each is not window
        ]
        opened += window.findChildren(QFrame, "popover")
        assert opened, command
        for sheet in opened:
            buttons = [b for b in sheet.findChildren(QAbstractButton) if b.isVisibleTo(sheet)]
            nameless += [
                f"{command}: {type(w).__name__} in {type(w.parent()).__name__}"
                for w in (*focusable(sheet), *buttons)
                if not name_of(w)
            ]
            sheet.close()
    assert nameless == []


def test_tab_reaches_every_control(workspace):
    window = workspace.main_window
    workspace.prompt_panel.advanced_section.set_open(True)
    wanted = {w for w in focusable(window) if w.isEnabled()}
    window.activateWindow()
    workspace.prompt_panel.negative.edit.setFocus()
    reached = set()
    for _ in range(3 * len(wanted)):
        reached.add(QApplication.focusWidget())
        focus = QApplication.focusWidget()
        assert focus is not None
        QTest.keyClick(focus, Qt.Key.Key_Tab)
    missed = [f"{type(w).__name__} {name_of(w)}" for w in wanted - reached]
    assert missed == []


def test_no_two_commands_share_a_shortcut(workspace):
    actions = [action for menu in workspace.actions_.menus for action in menu.actions()]
    keys = [a.shortcut().toString() for a in actions if not a.shortcut().isEmpty()]
    assert len(keys) == len(set(keys))
    for expected in ("Ctrl+Return", "Ctrl+.", "Ctrl+S", "Ctrl+C", "Ctrl+,", "Ctrl+O", "Ctrl+/"):
        assert expected in keys


def test_settings_count_at_once(workspace, queue, tmp_path):
    from PySide6.QtWidgets import QFileDialog

    workspace.actions_.settings.trigger()
    dialog = workspace.window_desk.dialogs["settings"]
    dialog.compute_unit.select_data("CPU_ONLY")
    QTest.mouseClick(dialog.previews, Qt.MouseButton.LeftButton)
    original = QFileDialog.getExistingDirectory
    try:
        QFileDialog.getExistingDirectory = staticmethod(lambda *_: str(tmp_path))  # type: ignore[method-assign]
        QTest.mouseClick(dialog.change_folder, Qt.MouseButton.LeftButton)
    finally:
        QFileDialog.getExistingDirectory = original  # type: ignore[method-assign]
    workspace.prompt_panel.prompt.edit.setPlainText("x")
    QTest.mouseClick(workspace.prompt_panel.generate, Qt.MouseButton.LeftButton)
    request = queue.last.request
    assert (request.compute_unit, request.previews, request.output_dir) == (
        "CPU_ONLY",
        False,
        str(tmp_path),
    )
    assert [name_of(w) for w in focusable(dialog) if not name_of(w)] == []


@pytest.mark.parametrize("flags", ["fpu avx512_bf16", "fpu avx2"])
def test_bfloat16_is_offered_where_the_processor_has_it(flags, workspace, queue, monkeypatch):
    processor = Processor(instructions=frozenset(flags.split()))
    monkeypatch.setattr(precision, "this_processor", lambda: processor)
    workspace.actions_.settings.trigger()
    dialog = workspace.window_desk.dialogs["settings"]
    QTest.mouseClick(dialog.bf16, Qt.MouseButton.LeftButton)
    workspace.prompt_panel.prompt.edit.setPlainText("x")
    QTest.mouseClick(workspace.prompt_panel.generate, Qt.MouseButton.LeftButton)
    assert queue.last.request.precision == ("bf16" if processor.has_bf16 else "fp32")
    told = dialog.no_bf16.isVisible() and dialog.no_bf16.text()
    assert bool(told) is not processor.has_bf16
    assert dialog.bf16.isEnabled() is processor.has_bf16


def test_about_names_versions_and_licences(workspace):
    import gui

    workspace.actions_.about.trigger()
    dialog = workspace.window_desk.dialogs["about"]
    QTest.mouseClick(dialog.copy_button, Qt.MouseButton.LeftButton)
    text = QApplication.clipboard().text()
    assert f"Sfumato {gui.__version__}" in text
    assert "torch 2" in text
    assert "SIL Open Font License" in dialog.licences.toPlainText()


def test_the_shortcut_list_shows_every_shortcut(workspace):
    from PySide6.QtWidgets import QLabel

    workspace.actions_.shortcuts.trigger()
    texts = [one.text() for one in workspace.window_desk.dialogs["shortcuts"].findChildren(QLabel)]
    assert "Ctrl+Return" in texts
    assert "Move to Trash" in texts


def test_a_ring_follows_the_keyboard_and_no_click(workspace):
    """As it looks: the button's pixels with the focus against those without."""
    panel, window = workspace.prompt_panel, workspace.main_window
    window.activateWindow()

    def looks(widget: QWidget):
        QApplication.processEvents()
        return widget.grab().toImage()

    def press(widget: QWidget) -> None:
        at = widget.mapTo(window, widget.rect().center())
        QTest.mousePress(window.windowHandle(), Qt.MouseButton.LeftButton, pos=at)
        QTest.mouseMove(window.windowHandle(), QPoint(2, 2))
        QTest.mouseRelease(
            window.windowHandle(), Qt.MouseButton.LeftButton, pos=QPoint(2, 2)
        )  # elsewhere, so that nothing happens

    for button in (panel.generate, panel.seed.dice, panel.controls["steps"].input.slider):
        panel.negative.edit.setFocus()
        plain = looks(button)
        press(button)
        assert button.hasFocus()
        if button is not panel.controls["steps"].input.slider:  # which moves to where it is pressed
            assert looks(button) == plain
        assert not shows_ring(button)
        panel.negative.edit.setFocus()
        plain = looks(button)
        QTest.keyClick(window.windowHandle(), Qt.Key.Key_F5)  # the hand is on the keyboard again
        button.setFocus(Qt.FocusReason.TabFocusReason)
        assert shows_ring(button)
        assert looks(button) != plain
