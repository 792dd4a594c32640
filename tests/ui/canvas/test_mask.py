"""A mask painted on the picture in the real window: by mouse, pen and keys, kept and undone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, QRectF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QApplication, QFileDialog

from gui import paths
from gui.start_image import StartImage
from gui.state.canvas import mask_files
from gui.ui.canvas.mask_options import ANOTHER, KEYS, PAINT
from gui.ui.canvas.mask_tool import MaskTool, Mode
from tests.ui.canvas.conftest import SIDE
from tests.ui.canvas.hands import drag, hover, mouse, on_surface, pen

ALT = Qt.KeyboardModifier.AltModifier
SQUARE = [(40.0, 60.0), (200.0, 60.0), (200.0, 180.0), (40.0, 180.0)]
WANTED = np.zeros((SIDE, SIDE), np.uint8)
WANTED[60:180, 40:200] = 255


@pytest.fixture
def tool(workspace, look) -> MaskTool:
    """The mask tool in hand, over the first picture."""
    look(0)
    workspace.actions_.tools["mask"].trigger()
    made = workspace.tools_desk.mask_tool
    assert workspace.canvas.tools.in_hand is made
    made.set_hardness(1.0)
    return made


@pytest.fixture
def view(workspace):
    return workspace.canvas.view


def masked(tool: MaskTool) -> np.ndarray:
    """The mask on show."""
    image = tool.mask.image
    assert image is not None
    return np.array(image.image.constBits()).reshape(SIDE, image.image.bytesPerLine())[:, :SIDE]


@pytest.fixture
def kept(workspace, qtbot):
    """The mask's file as the draft names it, once it is written."""

    def read() -> np.ndarray:
        done: list[bool] = []
        workspace.tools_desk.mask.when_kept(lambda: done.append(True))
        qtbot.waitUntil(lambda: bool(done))
        with Image.open(workspace.studio.draft.value("start_image.mask")) as file:
            assert file.mode == "L" and file.format == "PNG"
            return np.array(file)

    return read


def undo(workspace) -> None:
    workspace.canvas.view.setFocus()
    workspace.actions_.undo.trigger()


# -- where it lands -----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [None, 0.5, 1.0, 2.5, 9.0])
def test_a_known_square_is_the_mask_file_at_every_zoom(
    workspace, tool, view, kept, files, scale
) -> None:
    view.set_scale(scale)
    view.horizontalScrollBar().setValue(view.horizontalScrollBar().maximum() // 3)
    tool.set_mode(Mode.LASSO)
    drag(view, [*SQUARE, SQUARE[0]])
    assert (kept() == WANTED).all()
    assert workspace.studio.draft.value("start_image.path") == str(files[0])


def test_the_same_square_on_a_fine_screen(home) -> None:
    """The scale factor is fixed when a process begins, so another one paints."""
    root = Path(__file__).parents[3]
    env = {**os.environ, "QT_SCALE_FACTOR": "2", "SFUMATO_HOME": str(home)}
    script = root / "tests" / "ui" / "canvas" / "paint_finely.py"
    command = [sys.executable, str(script), *(f"{x},{y}" for x, y in SQUARE)]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    assert len(lines) == 4
    for line in lines:
        with Image.open(line) as file:
            assert (np.array(file) == WANTED).all()


@pytest.mark.parametrize("scale", [None, 4.0])
def test_a_brush_covers_what_it_is_drawn_over(tool, view, kept, scale) -> None:
    view.set_scale(scale)
    tool.set_size(20)
    drag(view, [(50, 100), (120, 100), (200, 100)])
    mask = kept()
    assert (mask[92:108, 50:200] == 255).all()
    assert not mask[:89].any() and not mask[112:].any()
    assert not mask[:, :38].any() and not mask[:, 212:].any()


def test_only_the_stroke_is_painted_again(tool, view, qtbot, monkeypatch) -> None:
    """On a large picture, so that a stroke costs what it covers and not what the picture has."""
    big = QImage(2048, 2048, QImage.Format.Format_RGB32)
    big.fill(0)
    view.show_image(big, path=view.path())
    tool.look(view.path(), big.size())
    tool.set_size(40)
    drag(view, [(300, 300), (310, 300)])
    QApplication.processEvents()
    exposed: list[QRectF] = []
    paint = tool.paint

    def seen(painter, place, part) -> None:  # type: ignore[no-untyped-def]
        exposed.append(part)
        paint(painter, place, part)

    monkeypatch.setattr(tool, "paint", seen)
    mouse(view, QEvent.Type.MouseButtonPress, (1000, 1000))
    qtbot.waitUntil(lambda: bool(exposed))
    exposed.clear()
    mouse(view, QEvent.Type.MouseMove, (1030, 1010))
    qtbot.waitUntil(lambda: bool(exposed))
    scale = view.surface.place().scale
    stroke = (30 + 40) * scale
    for part in exposed:
        assert part.width() < stroke + 12 and part.height() < stroke + 12
    mouse(view, QEvent.Type.MouseButtonRelease, (1030, 1010))


# -- brush, eraser, lasso -----------------------------------------------------------------------


def test_keys_set_the_brush(tool, view) -> None:
    view.setFocus()
    tool.set_size(20)
    QTest.keyClick(view, Qt.Key.Key_BracketRight)
    assert tool.size == 24
    QTest.keyClick(view, Qt.Key.Key_BracketLeft)
    assert tool.size == 20
    QTest.keyClick(view, Qt.Key.Key_X)
    assert tool.mode is Mode.ERASER
    QTest.keyClick(view, Qt.Key.Key_X)
    assert tool.mode is Mode.BRUSH
    QTest.keyClick(view, Qt.Key.Key_BracketLeft, Qt.KeyboardModifier.ShiftModifier)
    assert tool.hardness == 0.9


def test_a_mask_is_painted_by_keys_alone(workspace, tool, view, kept, qtbot) -> None:
    """From the middle: an arrow moves the brush, with Shift it paints, Return is a dab."""
    qtbot.waitUntil(lambda: tool._place is not None)
    view.setFocus()
    tool.set_size(20)
    for _ in range(4):
        QTest.keyClick(view, Qt.Key.Key_Left)
    assert tool.mask.image is None  # it was only moved
    for _ in range(4):
        QTest.keyClick(view, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    middle = SIDE // 2
    assert masked(tool)[middle, middle - 40 : middle].min() == 255
    assert not masked(tool)[middle, middle + 15 :].any()
    QTest.keyClick(view, Qt.Key.Key_Down)
    QTest.keyClick(view, Qt.Key.Key_Down)
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert kept()[middle + 20, middle] == 255
    workspace.actions_.undo.trigger()
    assert masked(tool)[middle + 20, middle] == 0
    QTest.keyClick(view, Qt.Key.Key_X)
    QTest.keyClick(view, Qt.Key.Key_Up)
    QTest.keyClick(view, Qt.Key.Key_Up)
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert masked(tool)[middle, middle - 5] == 0
    for _ in range(200):
        QTest.keyClick(view, Qt.Key.Key_Left)
    assert tool._hover.at.x() == 0  # it stays on the picture


def test_the_wheel_with_alt_sets_the_size(workspace, tool, view) -> None:
    tool.set_size(50)
    point = on_surface(view, (50, 50))
    where = QPointF(view.surface.mapToGlobal(point.toPoint()))
    event = QWheelEvent(
        point, where, QPoint(), QPoint(120, 0), Qt.MouseButton.NoButton, ALT,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(view.surface, event)
    assert tool.size == 60 and view.fitted
    assert workspace.tools_desk.mask_options.brush_size.value() == 60


def test_three_ways_to_erase(workspace, tool, view) -> None:
    options = workspace.tools_desk.mask_options
    tool.set_size(60)

    def paint_and(erase) -> None:  # type: ignore[no-untyped-def]
        drag(view, [(60, 100), (200, 100)])
        assert masked(tool)[100, 100] == 255
        erase()
        assert masked(tool)[100, 100] == 0

    paint_and(lambda: drag(view, [(60, 100), (200, 100)], modifiers=ALT))
    paint_and(lambda: pen(view, [(60, 100, 1.0), (200, 100, 1.0)], eraser=True))
    drag(view, [(60, 100), (200, 100)])
    QTest.mouseClick(options.modes[Mode.ERASER], Qt.MouseButton.LeftButton)
    drag(view, [(60, 100), (200, 100)])
    assert masked(tool)[100, 100] == 0
    drag(view, [(60, 100), (200, 100)], modifiers=ALT)
    assert masked(tool)[100, 100] == 255, "with ⌥ the eraser paints"


def test_a_pen_presses_more_and_less(tool, view) -> None:
    tool.set_size(60)
    pen(view, [(40, 100, 0.2), (60, 100, 0.2), (180, 100, 1.0), (200, 100, 1.0)])
    widths = (masked(tool) > 127).sum(axis=0)
    assert 8 <= widths[50] <= 16 and 56 <= widths[195] <= 64


def test_a_lasso_is_seen_while_it_is_drawn_and_takes_out_with_alt(tool, view) -> None:
    tool.set_mode(Mode.LASSO)
    drag(view, [*SQUARE, SQUARE[0]])
    inner = [(80, 90), (160, 90), (160, 150), (80, 150)]
    drag(view, inner, modifiers=ALT)
    assert masked(tool)[120, 120] == 0 and masked(tool)[70, 50] == 255


def test_shift_draws_a_straight_line_from_the_last_point(tool, view) -> None:
    tool.set_size(16)
    drag(view, [(40, 40)])
    drag(view, [(200, 40)], modifiers=Qt.KeyboardModifier.ShiftModifier)
    assert (masked(tool)[40, 40:200] == 255).all()


def test_invert_clear_and_everything(workspace, tool, view) -> None:
    options, a = workspace.tools_desk.mask_options, workspace.actions_
    tool.set_mode(Mode.LASSO)
    drag(view, SQUARE)
    QTest.mouseClick(options.invert, Qt.MouseButton.LeftButton)
    assert (masked(tool) == 255 - WANTED).all()
    a.clear_mask.trigger()
    assert not masked(tool).any()
    options.everything.click()
    assert masked(tool).all()
    for expected in (np.zeros_like(WANTED), 255 - WANTED, WANTED):
        undo(workspace)
        assert (masked(tool) == expected).all()


def test_the_mask_is_hidden_and_shown(workspace, tool, view) -> None:
    tool.set_mode(Mode.LASSO)
    drag(view, SQUARE)

    def colour() -> int:
        at = on_surface(view, (120, 120)).toPoint()
        return view.surface.grab().toImage().pixelColor(at).rgb()

    with_mask = colour()
    workspace.actions_.show_mask.trigger()
    assert colour() != with_mask
    workspace.tools_desk.mask_options.eye.click()
    assert colour() == with_mask


# -- undo ---------------------------------------------------------------------------------------


def test_each_stroke_is_one_step(workspace, tool, view, files) -> None:
    draft, a = workspace.studio.draft, workspace.actions_
    states = []
    for y in (50, 120, 190):
        drag(view, [(40, y), (120, y), (200, y)])
        states.append(masked(tool).copy())
    assert a.undo.text() == "Undo Paint Mask"
    undo(workspace)
    assert (masked(tool) == states[1]).all()
    undo(workspace)
    assert (masked(tool) == states[0]).all()
    undo(workspace)
    assert tool.mask.image is None and draft.value("start_image.path") == ""
    for state in states:
        a.redo.trigger()
        assert (masked(tool) == state).all()
    assert draft.value("start_image.path") == str(files[0])


def test_escape_breaks_a_stroke_off(workspace, tool, view) -> None:
    mouse(view, QEvent.Type.MouseButtonPress, (50, 50))
    mouse(view, QEvent.Type.MouseMove, (150, 50))
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Escape)
    mouse(view, QEvent.Type.MouseMove, (200, 200))
    mouse(view, QEvent.Type.MouseButtonRelease, (200, 200))
    assert tool.mask.image is None and workspace.actions_.undo.text() == "Undo"


def test_another_picture_has_its_own_mask_and_undo_brings_back_the_first(
    workspace, tool, view, look, files
) -> None:
    draft = workspace.studio.draft
    tool.set_mode(Mode.LASSO)
    drag(view, SQUARE)
    look(1)
    assert tool.mask.image is None, "looking changes nothing"
    assert draft.value("start_image.path") == str(files[0])
    drag(view, SQUARE[:3])
    assert draft.value("start_image.path") == str(files[1])
    undo(workspace)
    assert draft.value("start_image.path") == str(files[0])
    look(0)
    assert (masked(tool) == WANTED).all()


def test_a_start_picture_that_is_taken_away_takes_its_mask_along(
    workspace, tool, view, kept
) -> None:
    draft = workspace.studio.draft
    tool.set_mode(Mode.LASSO)
    drag(view, SQUARE)
    assert kept().any()
    workspace.prompt_panel.start.set_path("")
    assert draft.value("start_image.mask") == "" and tool.mask.image is None
    undo(workspace)
    assert (masked(tool) == WANTED).all() and draft.value("start_image.path")


# -- asked for ----------------------------------------------------------------------------------


def test_generate_waits_for_the_stroke_that_was_just_made(
    workspace, queue, tool, view, files, look, qtbot
) -> None:
    workspace.prompt_panel.prompt.edit.setPlainText("a hat")
    tool.set_mode(Mode.LASSO)
    drag(view, SQUARE)
    workspace.generate()
    qtbot.waitUntil(lambda: bool(queue.jobs()))
    start = queue.last.request.start_image
    assert start is not None and start.path == str(files[0])
    with Image.open(start.mask) as file:
        assert (np.array(file) == WANTED).all()
    first = start.mask
    look(0)
    drag(view, [(10, 10), (30, 10), (30, 30)])
    workspace.generate()
    qtbot.waitUntil(lambda: len(queue.jobs()) == 2)
    assert queue.last.request.start_image.mask != first
    with Image.open(first) as file:
        assert (np.array(file) == WANTED).all(), "what waits in line keeps its mask"


def test_an_empty_mask_is_none(workspace, queue, tool, view, qtbot) -> None:
    workspace.prompt_panel.prompt.edit.setPlainText("a hat")
    drag(view, [(40, 40), (90, 90)])
    tool.clear()
    workspace.generate()
    qtbot.waitUntil(lambda: bool(queue.jobs()))
    assert queue.last.request.start_image.mask == ""


def make_another_try(workspace, queue, qtbot) -> str:
    """A picture made from the masked one, finished and on show."""
    workspace.generate()
    qtbot.waitUntil(lambda: bool(queue.jobs()))
    queue.run()
    image = QImage(SIDE, SIDE, QImage.Format.Format_RGB32)
    image.fill("white")
    path = queue.picture(image)
    queue.finish()
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == path)
    return path


def test_the_result_keeps_the_mask_and_shows_what_was_before(
    workspace, queue, tool, view, files, qtbot
) -> None:
    options = workspace.tools_desk.mask_options
    workspace.prompt_panel.prompt.edit.setPlainText("a hat")
    tool.set_mode(Mode.LASSO)
    drag(view, SQUARE)
    made = make_another_try(workspace, queue, qtbot)
    qtbot.waitUntil(lambda: tool.mask.before == str(files[0]))
    assert (masked(tool) == WANTED).all(), "the mask stays for another try"
    assert options.before.isVisible() and options.hint.whole_text() == ANOTHER
    tool.set_shown(False)

    def corner() -> int:
        at = on_surface(view, (5.5, 128.5)).toPoint()
        return view.surface.grab().toImage().pixelColor(at).lightness()

    assert corner() == 255
    view.setFocus()
    QTest.keyPress(view, Qt.Key.Key_Backslash)
    qtbot.waitUntil(lambda: corner() < 200)
    assert options.before.isChecked()
    QTest.keyRelease(view, Qt.Key.Key_Backslash)
    assert corner() == 255 and not options.before.isChecked()
    drag(view, [(10, 10), (30, 10), (30, 30)])
    draft = workspace.studio.draft
    assert draft.value("start_image.path") == str(files[0]), "another try begins there again"
    QTest.mouseClick(options.go_on, Qt.MouseButton.LeftButton)
    assert draft.value("start_image.path") == made and not masked(tool).any()
    assert not options.before.isVisible()
    undo(workspace)
    assert draft.value("start_image.path") == str(files[0]) and masked(tool).any()


def test_what_is_finished_meanwhile_does_not_take_the_pictures_place(
    workspace, queue, tool, view, files, qtbot
) -> None:
    workspace.prompt_panel.prompt.edit.setPlainText("a hat")
    workspace.canvas.follow()
    mouse(view, QEvent.Type.MouseButtonPress, (50, 50))
    workspace.studio.generate()
    queue.run()
    queue.step(1, 4, preview=QImage(8, 8, QImage.Format.Format_RGB32))
    mouse(view, QEvent.Type.MouseMove, (150, 50))
    mouse(view, QEvent.Type.MouseButtonRelease, (150, 50))
    assert view.path() == str(files[0]) and masked(tool)[50, 100] == 255


# -- kept ---------------------------------------------------------------------------------------


def test_the_mask_is_there_again_after_a_restart(
    workspace, tool, view, files, open_workspace, qtbot
) -> None:
    tool.set_mode(Mode.LASSO)
    drag(view, SQUARE)
    workspace.main_window.close()
    again, _queue = open_workspace()
    mask = Path(again.studio.draft.value("start_image.mask"))
    with Image.open(mask) as file:
        assert (np.array(file) == WANTED).all()
    qtbot.waitUntil(lambda: again.canvas.view.path() == str(files[0]))
    qtbot.waitUntil(lambda: again.tools_desk.mask.image is not None)
    assert (masked(again.tools_desk.mask_tool) == WANTED).all()


def test_settings_that_are_used_bring_their_mask(workspace, tool, files, home, look, qtbot) -> None:
    mask = home / "m.png"
    Image.fromarray(WANTED).save(mask)
    studio = workspace.studio
    start = StartImage(str(files[1]), mask=str(mask), mask_inverted=True)
    request = studio.draft.draft.request
    studio.draft.replace(
        replace(studio.draft.draft, request=replace(request, start_image=start)), "Use Settings"
    )
    qtbot.waitUntil(lambda: tool.mask.picture == str(files[1]))
    look(1)
    assert (masked(tool) == 255 - WANTED).all()
    undo(workspace)
    assert tool.mask.image is None and studio.draft.value("start_image.mask") == ""


def test_masks_of_long_ago_are_removed(home) -> None:
    image = QImage(8, 8, QImage.Format.Format_Grayscale8)
    image.fill(255)
    for _ in range(5):
        mask_files.write(image, mask_files.new_file())
    files = sorted(mask_files.new_file().parent.iterdir())
    for age, file in enumerate(files):
        os.utime(file, (1000 + age, 1000 + age))
    mask_files.trim(kept=2)
    assert sorted(files[0].parent.iterdir()) == files[3:]


# -- from elsewhere -----------------------------------------------------------------------------


def test_a_mask_file_is_chosen_or_dropped(workspace, tool, home, monkeypatch, kept, qtbot) -> None:
    options = workspace.tools_desk.mask_options
    file = home / "m.png"
    Image.fromarray(WANTED).resize((SIDE * 2, SIDE * 2), Image.Resampling.NEAREST).save(file)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    options.from_file.click()
    qtbot.waitUntil(lambda: tool.mask.image is not None)
    assert np.abs(kept().astype(int) - WANTED).max() <= 1
    tool.clear()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    options.dropEvent(event)
    qtbot.waitUntil(lambda: bool(masked(tool).any()))
    undo(workspace)
    assert not masked(tool).any()


def test_what_is_transparent_is_masked_and_else_it_is_said(workspace, tool, view, qtbot) -> None:
    options, banner = workspace.tools_desk.mask_options, workspace.canvas.banner
    options.transparency.click()
    qtbot.waitUntil(lambda: "Nothing in this picture is transparent" in banner.statement.text())
    clear = Path(view.path()).with_name("clear.png")
    pixels = np.full((SIDE, SIDE, 4), 255, np.uint8)
    pixels[60:180, 40:200, 3] = 0
    Image.fromarray(pixels).save(clear)
    view.show_image(QImage(str(clear)), path=str(clear))
    tool.look(str(clear), view.image().size())
    options.transparency.click()
    qtbot.waitUntil(lambda: tool.mask.image is not None)
    assert (masked(tool) == WANTED).all()


# -- the window ---------------------------------------------------------------------------------


def test_from_gallery_and_menu(workspace, look, files, qtbot) -> None:
    look(1)
    a = workspace.actions_
    assert "Edit with Mask" in [x.text() for x in workspace.pictures_desk.menu().actions()]
    a.gallery.trigger()
    qtbot.waitUntil(lambda: workspace.shown_picture() is not None)
    wanted = workspace.shown_picture().path
    a.edit_mask.trigger()
    assert not workspace.canvas.browsing
    assert workspace.canvas.tools.in_hand is workspace.tools_desk.mask_tool
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == wanted)


def test_a_model_without_an_encoder_says_so(workspace, tool, view, qtbot) -> None:
    (paths.models_dir() / "no-encoder" / "unet.mlpackage").mkdir(parents=True)
    studio = workspace.studio
    with qtbot.waitSignal(studio.models.refreshed):
        studio.models.refresh()
    entry = next(e for e in studio.models.entries() if "no-encoder" in str(e.folder))
    studio.select_model(entry)
    bar = workspace.canvas.tools.bar
    qtbot.waitUntil(lambda: "no VAE encoder" in bar.reason.text())
    assert not workspace.tools_desk.mask_options.isVisible()
    drag(view, [(40, 40), (90, 90)])
    assert tool.mask.image is None and not workspace.actions_.clear_mask.isEnabled()
    studio.select_model(studio.models.entries()[0])
    qtbot.waitUntil(workspace.tools_desk.mask_options.isVisible)


def test_the_panel_says_that_there_is_a_mask_and_takes_it_off(workspace, tool, view, kept) -> None:
    edits = workspace.prompt_panel.start_edits
    assert edits.isHidden()
    tool.set_mode(Mode.LASSO)
    drag(view, SQUARE)
    kept()
    assert edits.masked.isVisibleTo(edits) and not edits.widened.isVisibleTo(edits)
    edits.remove_mask.click()
    assert edits.isHidden() and tool.mask.image is None
    assert workspace.studio.draft.value("start_image.path"), "the picture stays"


def test_a_mask_that_was_taken_off_comes_back(workspace, tool, view, kept, qtbot) -> None:
    tool.set_mode(Mode.LASSO)
    drag(view, SQUARE)
    kept()
    workspace.prompt_panel.start_edits.remove_mask.click()
    undo(workspace)
    qtbot.waitUntil(lambda: tool.mask.image is not None)
    assert (masked(tool) == WANTED).all()


def test_where_the_next_picture_branches_it_is_said(workspace, tool, view) -> None:
    studio = workspace.studio
    request = replace(studio.draft.draft.request, prompt="a hat").branched(1)
    studio.draft.put(replace(studio.draft.draft, request=request))
    bar = workspace.canvas.tools.bar
    assert "remove the branch to paint a mask" in bar.reason.text()
    drag(view, SQUARE)
    assert tool.mask.image is None
    workspace.prompt_panel.branch.remove.click()
    assert not bar.reason.isVisible() and workspace.tools_desk.mask_options.isVisible()


def test_every_control_has_a_name_and_the_first_stroke_moves_nothing(workspace, tool, view) -> None:
    options = workspace.tools_desk.mask_options
    for kind in (QAbstractButton, QAbstractSpinBox):
        for control in options.findChildren(kind):
            assert control.accessibleName() or control.text()
    assert options.hint.whole_text() == PAINT
    before = view.surface.picture_rect()
    drag(view, [(40, 40), (90, 90)])
    QApplication.processEvents()
    assert options.hint.whole_text() == KEYS
    assert view.surface.picture_rect() == before, "the picture stays where it is under the pointer"


def test_strength_and_feather_are_the_drafts(workspace, tool) -> None:
    options, draft = workspace.tools_desk.mask_options, workspace.studio.draft
    options.feather.box.setValue(32)
    options.strength.box.setValue(0.85)
    assert draft.value("start_image.mask_feather") == 32
    assert draft.value("start_image.strength") == 0.85
    draft.set("start_image.strength", 0.4)
    assert options.strength.value() == 0.4


def test_the_brushs_circle_follows_the_pointer(tool, view, qtbot) -> None:
    tool.set_size(60)
    hover(view, (128, 128))
    assert view.surface.cursor().shape() == Qt.CursorShape.BlankCursor
    tool.set_size(1)
    hover(view, (130, 128))
    assert view.surface.cursor().shape() == Qt.CursorShape.CrossCursor
