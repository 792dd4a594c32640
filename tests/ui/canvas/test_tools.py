"""The tool strip: what is in hand, what the pointer does then, and where a tool is in the way."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel

from gui.request import PictureRequest
from gui.ui.canvas.tool_strip import NO_PICTURE
from gui.ui.canvas.tools import OptionsTool, PicturePlace, Tool, Touch
from tests.ui.canvas.hands import drag, hover, mouse, on_surface, pen


class Probe(Tool):
    """Tells what it was told."""

    def __init__(self) -> None:
        super().__init__("probe", "Probe", "tool-mask")
        self.heard: list[tuple[str, Touch]] = []
        self.exposed: list[QRectF] = []
        self.cancelled = 0

    @property
    def works_on_picture(self) -> bool:
        return True

    def press(self, touch: Touch) -> bool:
        self.heard.append(("press", touch))
        return True

    def move(self, touch: Touch) -> None:
        self.heard.append(("move", touch))

    def release(self, touch: Touch) -> None:
        self.heard.append(("release", touch))

    def cancel(self) -> None:
        self.cancelled += 1

    def paint(self, painter: QPainter, place: PicturePlace, exposed: QRectF) -> None:
        self.exposed.append(exposed)

    def points(self) -> list[tuple[float, float]]:
        return [(round(t.at.x(), 3), round(t.at.y(), 3)) for _kind, t in self.heard]


@pytest.fixture
def tools(workspace):
    return workspace.canvas.tools


@pytest.fixture
def probe(tools, look) -> Probe:
    """In hand, over a picture."""
    look(0)
    made = Probe()
    tools.add(made)
    tools.take(made)
    return made


def test_a_tool_is_taken_by_button_and_shows_its_options(workspace, tools, look) -> None:
    look(0)
    options = QLabel("options of it")
    plugged = OptionsTool("extra", "Extra", "tool-control", options)
    tools.add(plugged)
    assert tools.strip.isVisible() and not options.isVisible()
    button = tools.strip.buttons[plugged]
    assert button.accessibleName() == "Extra"
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert options.isVisible() and button.isChecked()
    assert not tools.strip.buttons[tools.look].isChecked()
    plugged.set_reason("This model has no nets; choose one that has.")
    assert not options.isVisible() and tools.bar.reason.text() == plugged.reason
    assert button.accessibleDescription() == plugged.reason
    plugged.set_reason("")
    assert options.isVisible()
    workspace.actions_.tools["look"].trigger()
    assert tools.in_hand is tools.look and not tools.bar.isVisible()


def test_a_tool_that_the_model_has_no_use_for_is_absent(tools, look) -> None:
    look(0)
    plugged = OptionsTool("extra", "Extra", "tool-control", QLabel("x"))
    tools.add(plugged)
    tools.take(plugged)
    plugged.set_present(False)
    assert tools.in_hand is tools.look and not tools.strip.buttons[plugged].isVisible()


def test_arrows_go_along_the_strip(workspace, tools, look) -> None:
    look(0)
    tools.add(OptionsTool("extra", "Extra", "tool-control", QLabel("x")))
    buttons = [b for b in tools.strip.buttons.values() if b.isVisible()]
    buttons[0].setFocus()
    QTest.keyClick(buttons[0], Qt.Key.Key_Down)
    assert buttons[1].hasFocus()
    QTest.keyClick(buttons[1], Qt.Key.Key_Up)
    assert buttons[0].hasFocus()


def test_letters_are_the_prompts_while_it_is_written(workspace, tools, look) -> None:
    look(0)
    edit = workspace.prompt_panel.prompt.edit
    edit.setFocus()
    before = tools.in_hand
    QTest.keyClicks(edit, "vbck")
    assert edit.toPlainText() == "vbck" and tools.in_hand is before


def test_the_gallery_and_a_comparison_have_no_tools(workspace, tools, probe) -> None:
    assert tools.strip.isVisible()
    workspace.actions_.gallery.trigger()
    assert not tools.strip.isVisible() and not tools.bar.isVisible()
    assert not workspace.actions_.tools["look"].isEnabled()
    workspace.actions_.gallery.trigger()
    assert tools.strip.isVisible() and workspace.actions_.tools["look"].isEnabled()


def test_without_a_picture_it_is_said(workspace, tools, probe) -> None:
    workspace.canvas.show_picture(None)
    assert tools.bar.isVisible() and tools.bar.reason.text() == NO_PICTURE
    assert tools.bar.reason.height() < 3 * tools.bar.reason.fontMetrics().height()


POINTS = [(10.0, 20.0), (100.5, 40.25), (200.0, 255.0)]


@pytest.mark.parametrize("scale", [None, 0.4, 1.0, 3.0, 7.5])
def test_the_pointer_is_told_in_pixels_of_the_picture(workspace, probe, scale) -> None:
    view = workspace.canvas.view
    view.set_scale(scale)
    drag(view, POINTS)
    assert probe.points() == [*POINTS, POINTS[-1]]
    assert [kind for kind, _ in probe.heard] == ["press", "move", "move", "release"]


def test_a_pen_tells_its_pressure_and_its_end(workspace, probe) -> None:
    view = workspace.canvas.view
    pen(view, [(10, 10, 0.25), (20, 10, 1.0)])
    assert [touch.pressure for _k, touch in probe.heard] == [0.25, 1.0, 1.0]
    assert not any(touch.eraser for _k, touch in probe.heard)
    probe.heard.clear()
    pen(view, [(30, 30, 0.5)], eraser=True)
    assert all(touch.eraser for _k, touch in probe.heard)


def test_zooming_keeps_what_is_under_the_pointer(workspace, probe) -> None:
    view = workspace.canvas.view
    surface = view.surface
    view.set_scale(4.0)
    for at, notches in (((60.0, 70.0), 4), ((180.0, 200.0), -2)):
        point = on_surface(view, at)
        before = surface.mapTo(view, point.toPoint())
        where = QPointF(surface.mapToGlobal(point.toPoint()))
        event = QWheelEvent(
            point, where, QPoint(), QPoint(0, 120 * notches),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.ControlModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(surface, event)
        after = surface.mapTo(view, on_surface(view, at).toPoint())
        assert (after - before).manhattanLength() <= 2
    assert not view.fitted and view.scale == pytest.approx(4.0 * 1.2**2)


def test_space_moves_the_picture_and_not_the_tool(workspace, probe) -> None:
    view = workspace.canvas.view
    view.set_scale(8.0)
    view.setFocus()
    bar = view.horizontalScrollBar()
    bar.setValue(bar.maximum() // 2)
    QTest.keyPress(view, Qt.Key.Key_Space)
    assert view.surface.cursor().shape() == Qt.CursorShape.OpenHandCursor
    before = bar.value()
    start = on_surface(view, (100, 100))
    mouse(view, QEvent.Type.MouseButtonPress, (100, 100))
    mouse(view, QEvent.Type.MouseMove, (105, 100))
    assert bar.value() == before - round(on_surface(view, (105, 100)).x() - start.x())
    mouse(view, QEvent.Type.MouseButtonRelease, (105, 100))
    QTest.keyRelease(view, Qt.Key.Key_Space)
    assert not probe.heard and view.surface.cursor().shape() == Qt.CursorShape.ArrowCursor


def test_only_the_part_that_a_tool_names_is_painted_again(workspace, probe, qtbot) -> None:
    view = workspace.canvas.view
    qtbot.waitUntil(lambda: bool(probe.exposed))
    probe.exposed.clear()
    probe.repaint.emit(QRectF(50, 60, 10, 10))
    qtbot.waitUntil(lambda: bool(probe.exposed))
    wanted = view.surface.place().part_to_surface(QRectF(50, 60, 10, 10))
    (exposed,) = probe.exposed
    assert exposed.contains(wanted)
    assert exposed.width() <= wanted.width() + 4 and exposed.height() <= wanted.height() + 4


def test_what_is_being_made_is_nobodys_to_work_on(workspace, queue, probe) -> None:
    view = workspace.canvas.view
    mouse(view, QEvent.Type.MouseButtonPress, (50, 50))
    queue.submit(PictureRequest("a boat", ""))
    queue.run()
    workspace.canvas.follow()
    queue.step(1, 4, preview=QImage(8, 8, QImage.Format.Format_RGB32))
    assert probe.cancelled == 1
    probe.heard.clear()
    drag(view, [(10, 10), (20, 20)])
    hover(view, (10, 10))
    assert not probe.heard and view.surface.working is None


def in_one_row(widgets) -> bool:
    middles = {w.geometry().center().y() // 4 for w in widgets if w.isVisible()}
    return len(middles) == 1


@pytest.mark.parametrize("key", ["mask", "frame"])
def test_in_a_small_window_options_take_one_row_and_the_rest_is_in_the_pop_over(
    workspace, look, key: str, qtbot
) -> None:
    desk = workspace.tools_desk
    options = {"mask": desk.mask_options, "frame": desk.frame_options}[key]
    look(0)
    for size, roomy in (((1024, 640), False), ((1500, 900), True)):
        workspace.main_window.resize(*size)
        workspace.actions_.tools[key].trigger()
        qtbot.waitUntil(lambda roomy=roomy: options.roomy is roomy)
        qtbot.waitUntil(lambda: in_one_row(options._row))
        assert options.feather.isVisible() is roomy
        options.popover.open_below(options.more)
        assert options.rare_feather.isVisible() is not roomy
        rows = {"mask": "start_image.inpaint_area", "frame": "start_image.outpaint"}
        assert workspace.prompt_panel.controls[rows[key]].row.isVisible()
        options.popover.close()
