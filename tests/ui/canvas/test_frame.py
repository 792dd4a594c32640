"""The picture's frame moved in the real window, out and in: dragged, by keys, typed and undone."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox

from gui.start_image import Outpaint
from gui.ui.canvas.frame_tool import FrameTool
from gui.ui.prompt.start_edits import StartEdits
from tests.ui.canvas.conftest import SIDE
from tests.ui.canvas.hands import NONE, drag, hover, mouse

ALT = Qt.KeyboardModifier.AltModifier
CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
MIDDLE = SIDE / 2


@pytest.fixture
def tool(workspace, look) -> FrameTool:
    """The frame tool in hand, over the first picture."""
    look(0)
    workspace.actions_.tools["frame"].trigger()
    made = workspace.tools_desk.frame_tool
    assert workspace.canvas.tools.in_hand is made
    return made


@pytest.fixture
def view(workspace):
    return workspace.canvas.view


@pytest.fixture
def frame(workspace):
    return lambda: workspace.studio.draft.value("start_image.outpaint")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((SIDE, MIDDLE), (SIDE + 60, MIDDLE), Outpaint(right=64)),
        ((0, MIDDLE), (-130, MIDDLE), Outpaint(left=128)),
        ((MIDDLE, 0), (MIDDLE, -64), Outpaint(top=64)),
        ((MIDDLE, SIDE), (MIDDLE, SIDE + 190), Outpaint(bottom=192)),
        ((SIDE, SIDE), (SIDE + 64, SIDE + 128), Outpaint(right=64, bottom=128)),
        ((SIDE, MIDDLE), (SIDE - 60, MIDDLE), Outpaint(right=-64)),
        ((0, 0), (70, -64), Outpaint(left=-64, top=64)),
    ],
)
def test_an_edge_is_dragged_out_or_in(tool, view, frame, files, workspace, start, end, expected):
    drag(view, [start, end])
    assert frame() == expected
    assert workspace.studio.draft.value("start_image.path") == str(files[0])
    shown = view.surface.place().part_to_surface(tool.extent())
    assert view.surface.rect().contains(shown.toRect()), "all of the frame is seen afterwards"


def test_keys_held_free_the_edge_or_take_the_opposite_along(tool, view, frame) -> None:
    drag(view, [(SIDE, MIDDLE), (SIDE + 77, MIDDLE)], modifiers=CONTROL)
    assert frame() == Outpaint(right=77)
    tool.set(Outpaint())
    drag(view, [(MIDDLE, 0), (MIDDLE, -70)], modifiers=ALT)
    assert frame() == Outpaint(top=64, bottom=64)


def test_inwards_a_part_of_the_picture_stays(tool, view, frame) -> None:
    drag(view, [(SIDE, MIDDLE), (SIDE + 128, MIDDLE)])
    drag(view, [(SIDE + 128, MIDDLE), (10, MIDDLE)])
    assert frame() == Outpaint(right=64 - SIDE)


def test_what_is_cropped_is_darkened_and_said_and_taken_back(
    workspace, tool, view, frame, files
) -> None:
    place = view.surface.place()
    at = place.to_surface(QPointF(10, MIDDLE)).toPoint()
    before = view.surface.grab().toImage().pixelColor(at).lightness()
    drag(view, [(0, MIDDLE), (64, MIDDLE)])
    assert frame() == Outpaint(left=-64)
    assert view.surface.place().rect == place.rect, "a crop leaves the picture where it is"
    assert view.surface.grab().toImage().pixelColor(at).lightness() < before
    edits = workspace.prompt_panel.findChild(StartEdits)
    assert edits.frame_words.accessibleName() == "Cropped by its frame"
    options = workspace.tools_desk.frame_options
    assert options.width_field.value() == SIDE - 64
    drag(view, [(SIDE, MIDDLE), (SIDE + 64, MIDDLE)])
    assert edits.frame_words.accessibleName() == "Cropped, and painted on beyond its edges"
    view.setFocus()
    workspace.actions_.undo.trigger()
    workspace.actions_.undo.trigger()
    assert frame() == Outpaint() and edits.isHidden()
    options.ratio.select_data("2:1:crop")
    assert frame() == Outpaint(top=-64, bottom=-64)


def test_the_frame_is_moved_from_inside(tool, view, frame) -> None:
    drag(view, [(SIDE, MIDDLE), (SIDE + 128, MIDDLE)])
    drag(view, [(MIDDLE, MIDDLE), (MIDDLE - 50, MIDDLE)])
    assert frame() == Outpaint(left=50, right=78)


def test_arrows_move_their_sides(tool, view, frame) -> None:
    view.setFocus()
    for key, held in (
        (Qt.Key.Key_Right, NONE), (Qt.Key.Key_Right, NONE), (Qt.Key.Key_Up, NONE),
        (Qt.Key.Key_Left, NONE), (Qt.Key.Key_Right, SHIFT), (Qt.Key.Key_Left, SHIFT),
    ):  # fmt: skip
        QTest.keyClick(view, key, held)
    assert frame() == Outpaint(right=64, top=64)


def test_sizes_and_proportions_are_typed_and_chosen(workspace, tool, frame) -> None:
    options = workspace.tools_desk.frame_options
    options.width_field.box.setValue(384)
    assert frame() == Outpaint(left=64, right=64)
    options.height_field.box.setValue(100)
    assert frame() == Outpaint(left=64, top=-78, right=64, bottom=-78)
    options.ratio.select_data("16:9")
    assert (options.width_field.value(), options.height_field.value()) == (456, 256)
    assert frame() == Outpaint(left=100, right=100)
    assert options.ratio.currentText() == "Proportions"
    options.reset.click()
    assert frame() == Outpaint() and not options.reset.isEnabled()


def test_each_drag_is_undone_alone(workspace, tool, view, frame) -> None:
    drag(view, [(SIDE, MIDDLE), (SIDE + 30, MIDDLE), (SIDE + 64, MIDDLE)])
    drag(view, [(MIDDLE, SIDE), (MIDDLE, SIDE + 64)])
    undo = workspace.actions_.undo
    assert undo.text() == "Undo Move Frame"
    view.setFocus()
    undo.trigger()
    assert frame() == Outpaint(right=64)
    undo.trigger()
    assert frame() == Outpaint() and workspace.studio.draft.value("start_image.path") == ""
    workspace.actions_.redo.trigger()
    assert frame() == Outpaint(right=64)


def test_escape_lets_go_of_an_edge(tool, view, frame) -> None:
    mouse(view, QEvent.Type.MouseButtonPress, (SIDE, MIDDLE))
    mouse(view, QEvent.Type.MouseMove, (SIDE + 128, MIDDLE))
    assert tool.size.width() == SIDE + 128
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Escape)
    mouse(view, QEvent.Type.MouseButtonRelease, (SIDE + 128, MIDDLE))
    assert frame() == Outpaint() and tool.size.width() == SIDE


def test_the_pointer_says_which_way_an_edge_goes(tool, view) -> None:
    for at, shape in (
        ((SIDE, MIDDLE), Qt.CursorShape.SizeHorCursor),
        ((MIDDLE, 0), Qt.CursorShape.SizeVerCursor),
        ((0, 0), Qt.CursorShape.SizeFDiagCursor),
        ((SIDE, 0), Qt.CursorShape.SizeBDiagCursor),
        ((MIDDLE, MIDDLE), Qt.CursorShape.ArrowCursor),
    ):
        hover(view, at)
        assert view.surface.cursor().shape() == shape


def test_another_picture_has_its_own_frame(workspace, tool, view, frame, look, files) -> None:
    drag(view, [(SIDE, MIDDLE), (SIDE + 128, MIDDLE)])
    look(1)
    assert tool.size.width() == SIDE and frame() == Outpaint(right=128)
    drag(view, [(MIDDLE, SIDE), (MIDDLE, SIDE + 64)])
    assert frame() == Outpaint(bottom=64)
    assert workspace.studio.draft.value("start_image.path") == str(files[1])


def test_another_starting_picture_loses_the_frame_and_undo_brings_it_back(
    workspace, tool, view, frame, files
) -> None:
    drag(view, [(SIDE, MIDDLE), (SIDE + 128, MIDDLE)])
    workspace.prompt_panel.start.set_path(str(files[1]))
    assert frame() == Outpaint()
    view.setFocus()
    workspace.actions_.undo.trigger()
    assert frame() == Outpaint(right=128)


def test_settings_that_are_used_bring_their_frame(workspace, tool, view, frame, files) -> None:
    drag(view, [(SIDE, MIDDLE), (SIDE + 128, MIDDLE)])
    draft = workspace.studio.draft
    other = draft.draft.with_value("start_image.path", str(files[1]))
    draft.replace(other.with_value("start_image.outpaint", Outpaint(top=64)), "Use Settings")
    assert frame() == Outpaint(top=64)
    view.setFocus()
    workspace.actions_.undo.trigger()
    assert frame() == Outpaint(right=128)


def test_the_request_says_the_frame(workspace, queue, tool, view, files, qtbot) -> None:
    workspace.prompt_panel.prompt.edit.setPlainText("a field")
    drag(view, [(0, MIDDLE), (-64, MIDDLE)])
    workspace.generate()
    qtbot.waitUntil(lambda: bool(queue.jobs()))
    start = queue.last.request.start_image
    assert start.path == str(files[0]) and start.outpaint == Outpaint(left=64)


def test_every_control_has_a_name(workspace, tool) -> None:
    options = workspace.tools_desk.frame_options
    assert options.hint.isVisible()
    for kind in (QAbstractButton, QAbstractSpinBox):
        for control in options.findChildren(kind):
            assert control.accessibleName() or control.text()
