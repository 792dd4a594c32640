"""Pictures side by side in the real window: zoomed together, told apart, acted on."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QSize, QSizeF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from gui import paths
from gui.library.pictures import save_picture
from gui.request import PictureRecord, PictureRequest
from gui.state.pictures.differences import Difference
from gui.ui.pictures.linked_zoom import LinkedZoom, PanePlace

NOW = datetime.now().replace(hour=12, minute=0, second=0, microsecond=0)
SIZES = ((256, 256), (256, 256), (256, 384), (96, 64), (256, 256))


@pytest.fixture
def files(home) -> list[Path]:
    """Five pictures made here, newest first, each red, green or blue from left to right."""
    made = []
    for number, (width, height) in enumerate(SIZES):
        request = PictureRequest(
            "a red fox in the deep snow" if number else "a red fox in the summer rain",
            "",
            seed=number,
            steps=20,
            guidance_scale=7.0,
            scheduler="Euler a" if number != 1 else "DDIM",
            output_dir=str(paths.pictures_dir()),
        )
        created = (NOW - timedelta(minutes=number)).astimezone().isoformat(timespec="seconds")
        record = PictureRecord(request, width, height, "Tiny", created=created)
        pixels = np.zeros((height, width, 3), np.uint8)
        thirds = np.arange(width) * 3 // width
        pixels[:, np.arange(width), thirds] = 255
        pixels[:, :, :] = pixels * (1 - 0.1 * number)
        path = save_picture(pixels, record, request)
        when = (NOW - timedelta(minutes=number)).timestamp()
        os.utime(path, (when, when))
        made.append(path)
    return made


@pytest.fixture
def desk(files, open_workspace):
    """The window is opened when the pictures are there."""
    return open_workspace()


@pytest.fixture
def compare(workspace, files, qtbot):
    """Compares the pictures of these rows, chosen in the gallery."""

    def begin(*rows: int):
        qtbot.waitUntil(lambda: workspace.studio.gallery.rowCount() == len(files))
        if not workspace.canvas.browsing:
            workspace.actions_.gallery.trigger()
        grid = workspace.gallery.grid
        qtbot.waitUntil(lambda: all(workspace.studio.gallery.picture(row) for row in range(5)))
        for row in rows:
            modifier = (
                Qt.KeyboardModifier.NoModifier
                if row == rows[0]
                else Qt.KeyboardModifier.ControlModifier
            )
            at = grid.rect_on_screen(row).center()
            QTest.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, modifier, at)
        workspace.actions_.compare.trigger()
        view = workspace.middle.comparison.view
        qtbot.waitUntil(lambda: all(one.levels for one in view.shown))
        qtbot.waitUntil(lambda: len(view._origins) == len(rows))
        return view

    return begin


def press(key: Qt.Key, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    widget = QApplication.focusWidget()
    assert widget is not None
    QTest.keyClick(widget, key, modifiers)


def wheel(surface, at: QPoint, notches: int) -> None:
    event = QWheelEvent(
        QPointF(at), QPointF(surface.mapToGlobal(at)), QPoint(), QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase,
        False,
    )  # fmt: skip
    QApplication.sendEvent(surface, event)


def relative(surface, at: QPoint) -> tuple[float, float]:
    """What part of its picture is seen at a point, from 0 to 1 across it."""
    rect = surface.picture_rect()
    return (at.x() - rect.left()) / rect.width(), (at.y() - rect.top()) / rect.height()


# -- the zoom ---------------------------------------------------------------------------------


def test_what_is_under_the_pointer_stays_there() -> None:
    zoom, place = LinkedZoom(), PanePlace(QSizeF(400, 300), QSize(800, 600))
    pointer = QPointF(310, 120)
    zoom.zoom_to(place, QPointF(200, 150), 3)

    def under() -> tuple[float, float]:
        rect = place.rect(zoom.zoom, zoom.centre)
        x = (pointer.x() - rect.left()) / rect.width()
        return x, (pointer.y() - rect.top()) / rect.height()

    before = under()
    for factor in (1.3, 2.0, 0.7):
        zoom.zoom_at(place, pointer, factor)
        assert under() == pytest.approx(before, abs=1e-9)


def test_zoom_and_moving_end_at_the_pictures_edges() -> None:
    zoom, place = LinkedZoom(), PanePlace(QSizeF(400, 300), QSize(800, 600))
    zoom.zoom_to(place, QPointF(0, 0), 1e9)
    assert place.fit_scale * zoom.zoom == pytest.approx(16), "16 screen pixels for one"
    zoom.zoom_to(place, QPointF(0, 0), 4)
    zoom.pan(place, QPointF(1e6, 1e6))
    assert place.rect(zoom.zoom, zoom.centre).topLeft() == QPointF(0, 0)
    zoom.pan(place, QPointF(-1e6, -1e6))
    assert place.rect(zoom.zoom, zoom.centre).bottomRight() == QPointF(400, 300)
    zoom.zoom_to(place, QPointF(0, 0), 1e-9)
    assert zoom.fitted


def test_all_sizes_show_the_same_part(compare) -> None:
    view = compare(0, 2, 3)
    surface = view.surfaces[0]
    wheel(surface, QPoint(surface.width() // 3, surface.height() // 2), 8)
    parts = []
    for each in view.surfaces:
        middle = QPoint(round(each.middle().x()), round(each.middle().y()))
        parts.append(relative(each, middle)[0])
    assert view.linked.zoom > 2
    assert parts == pytest.approx([parts[0]] * 3, abs=0.02)


def test_double_click_goes_to_true_size_at_the_point_and_back(compare) -> None:
    view = compare(0, 1)
    surface = view.surfaces[0]
    if view.linked.zoom / surface.place().true_zoom == pytest.approx(1, abs=0.01):
        pytest.fail("fitted and true size are the same here: the test would prove nothing")
    at = surface.picture_rect().center().toPoint() + QPoint(9, 5)
    before = relative(surface, at)
    QTest.mouseDClick(surface, Qt.MouseButton.LeftButton, pos=at)
    assert view.percent.text() == "100%"
    ratio = surface.devicePixelRatioF()
    assert surface.picture_rect().width() * ratio == pytest.approx(256)
    if surface._movable():
        assert relative(surface, at) == pytest.approx(before, abs=0.01)
    QTest.mouseDClick(surface, Qt.MouseButton.LeftButton, pos=at)
    assert view.linked.fitted


def test_menu_commands_zoom_what_is_compared(workspace, compare) -> None:
    view = compare(0, 1)
    workspace.actions_.true_size.trigger()
    assert view.percent.text() == "100%" and workspace.actions_.true_size.isChecked()
    workspace.actions_.larger.trigger()
    assert view.percent.text() == "125%"
    workspace.actions_.fit.trigger()
    assert view.linked.fitted and workspace.actions_.fit.isChecked()
    press(Qt.Key.Key_Plus)
    assert view.linked.zoom == pytest.approx(1.25)
    press(Qt.Key.Key_0)
    assert view.linked.fitted


def test_the_right_pixels_are_painted(compare, qtbot) -> None:
    view = compare(0, 2)
    for surface in view.surfaces:
        shot = surface.grab().toImage()
        rect, ratio = surface.picture_rect(), shot.devicePixelRatio()
        for third in range(3):
            at = QPointF(rect.left() + rect.width() * (third + 0.5) / 3, rect.center().y())
            colour = shot.pixelColor((at * ratio).toPoint())
            channels = [colour.red(), colour.green(), colour.blue()]
            assert channels.index(max(channels)) == third


# -- where it begins and ends -----------------------------------------------------------------


def test_two_to_four_can_be_compared(workspace, files, qtbot) -> None:
    qtbot.waitUntil(lambda: workspace.studio.gallery.rowCount() == 5)
    workspace.actions_.gallery.trigger()
    grid = workspace.gallery.grid
    enabled = {}
    for row in range(5):
        at = grid.rect_on_screen(row).center()
        control = Qt.KeyboardModifier.ControlModifier if row else Qt.KeyboardModifier.NoModifier
        QTest.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, control, at)
        enabled[grid.chosen_count] = workspace.actions_.compare.isEnabled()
    assert enabled == {1: False, 2: True, 3: True, 4: True, 5: False}
    grid.selectAll()
    assert not workspace.actions_.compare.isEnabled(), "five are too many"
    grid.choose(0)
    assert not workspace.actions_.compare.isEnabled(), "one alone is not compared"


def test_from_the_gallery_and_back_with_escape(workspace, compare) -> None:
    view = compare(1, 2)
    assert workspace.canvas.stack.currentWidget() is view
    assert [Path(one.picture.path).stem.split("-")[1] for one in view.shown] == ["1", "2"]
    assert QApplication.focusWidget() is view.surfaces[0]
    press(Qt.Key.Key_Escape)
    assert workspace.canvas.stack.currentWidget() is workspace.gallery
    assert workspace.gallery.grid.hasFocus() and workspace.gallery.grid.chosen_count == 2
    assert view.shown == [], "its pixels are let go of"


def test_from_the_strip_and_back_to_the_picture_in_focus(workspace, files, qtbot) -> None:
    strip, pictures = workspace.filmstrip, workspace.studio.pictures
    qtbot.waitUntil(lambda: pictures.rowCount() == 5)
    model = strip.list.selectionModel()
    for row in (1, 3):
        model.select(strip.list.model().index(row, 0), model.SelectionFlag.Select)
    assert workspace.actions_.compare.isEnabled()
    workspace.actions_.compare.trigger()
    qtbot.waitUntil(lambda: workspace.middle.comparison.on)
    assert not strip.isVisible()
    press(Qt.Key.Key_2)
    press(Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == str(files[3]))
    assert strip.isVisible() and strip.chosen_ids() == [pictures.id_at(1), pictures.id_at(3)]


def test_what_is_made_meanwhile_takes_nobody_away(workspace, queue, compare, qtbot) -> None:
    view = compare(0, 1)
    queue.submit(PictureRequest("a boat", ""))
    queue.run()
    queue.step(1, 4)
    from PySide6.QtGui import QImage

    image = QImage(64, 64, QImage.Format.Format_RGB32)
    image.fill(0)
    queue.picture(image)
    queue.finish()
    qtbot.waitUntil(lambda: workspace.studio.pictures.rowCount() == 6)
    assert workspace.middle.comparison.on and len(view.shown) == 2


# -- what is said -----------------------------------------------------------------------------


def test_only_what_differs_is_said(compare) -> None:
    view = compare(1, 2, 4)
    said = [foot.texts() for foot in view.feet]
    assert said[0] == ["Seed: 1", "Scheduler: DDIM", "Size: 256 × 256"]
    assert said[1] == ["Seed: 2", "Scheduler: Euler a", "Size: 256 × 384"]
    assert {foot.prompt.text() for foot in view.feet} == {"a red fox in the deep snow"}


def test_a_long_setting_takes_no_room_from_the_other_picture(compare, qtbot) -> None:
    view = compare(0, 1)
    long = Difference("Branch", "After step 4 of “a red apple on a blue background” " * 3)
    view.feet[0].tell("a fox", True, [long], "")
    qtbot.waitUntil(lambda: view.feet[0].texts()[0].startswith("Branch: After"))
    QApplication.processEvents()
    first, second = (surface.width() for surface in view.surfaces)
    assert abs(first - second) <= 1


def test_prompts_stand_from_where_they_part(compare) -> None:
    view = compare(0, 1)
    texts = [foot.prompt.text() for foot in view.feet]
    assert texts == ["… the summer rain", "… the deep snow"]
    assert view.feet[0].prompt.accessibleName() == "a red fox in the summer rain"


# -- commands ---------------------------------------------------------------------------------


def test_commands_act_on_the_pane_in_focus(workspace, compare, qtbot) -> None:
    view = compare(0, 1, 2)
    press(Qt.Key.Key_Right)
    assert workspace.shown_picture().facts.seed == 1
    press(Qt.Key.Key_F)
    held = workspace.studio.pictures
    qtbot.waitUntil(lambda: (p := held.picture(1)) is not None and p.favourite)
    qtbot.waitUntil(lambda: view.feet[1].heart.isChecked())
    assert not held.picture(0).favourite and not view.feet[0].heart.isChecked()
    workspace.actions_.undo.trigger()
    qtbot.waitUntil(lambda: not view.feet[1].heart.isChecked())
    workspace.actions_.copy_picture.trigger()
    copied = QApplication.clipboard().mimeData().urls()
    assert [url.toLocalFile() for url in copied] == [view.shown[1].picture.path]


def test_the_trash_takes_the_one_in_focus_and_two_go_on(
    workspace, compare, files, tmp_path, monkeypatch, qtbot
) -> None:
    (tmp_path / "xdg").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    view = compare(0, 1, 2)
    press(Qt.Key.Key_2)
    press(Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: len(view.shown) == 2)
    assert [file.exists() for file in files] == [True, False, True, True, True]
    assert workspace.middle.comparison.on
    press(Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: not workspace.middle.comparison.on)
    for _ in range(2):
        workspace.actions_.undo.trigger()
    qtbot.waitUntil(lambda: all(file.exists() for file in files))


def test_a_fitted_picture_is_dragged_out_and_a_zoomed_one_moved(compare, monkeypatch) -> None:
    view = compare(0, 1)
    dragged = []
    monkeypatch.setattr(
        "gui.ui.pictures.compare_surface.start_drag",
        lambda _source, shown: dragged.append(shown.picture.path),
    )
    surface = view.surfaces[1]
    middle = surface.middle().toPoint()

    def drag() -> None:
        QTest.mousePress(surface, Qt.MouseButton.LeftButton, pos=middle)
        for step in (10, 30, 60):
            QTest.mouseMove(surface, middle + QPoint(step, 0))
            QApplication.processEvents()
        QTest.mouseRelease(surface, Qt.MouseButton.LeftButton, pos=middle + QPoint(60, 0))

    drag()
    assert dragged == [view.shown[1].picture.path]
    for _ in range(12):
        wheel(surface, middle, 1)
    before = view.surfaces[0].picture_rect().left()
    drag()
    assert len(dragged) == 1
    assert view.surfaces[0].picture_rect().left() == pytest.approx(before + 60, abs=1)


# -- the divider ------------------------------------------------------------------------------


def test_the_divider_shows_one_or_the_other(compare) -> None:
    view = compare(0, 4)
    press(Qt.Key.Key_W)
    wipe = view.active_surface()
    assert wipe is view.wipe and wipe.isVisible() and not view.surfaces[0].isVisible()

    def red_at_the_left() -> int:
        shot = wipe.grab().toImage()
        rect = wipe.picture_rect()
        at = QPointF(rect.left() + rect.width() / 6, rect.center().y())
        return shot.pixelColor((at * shot.devicePixelRatio()).toPoint()).red()

    wipe.set_share(1.0)
    assert red_at_the_left() > 245, "the first picture alone"
    wipe.set_share(0.0)
    assert 140 < red_at_the_left() < 165, "the second one alone"
    span = wipe._span()
    wipe.set_share(0.5)
    start = QPoint(round(wipe._divider()), 20)
    QTest.mousePress(wipe, Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(wipe, QPoint(round(span[0] + 0.8 * (span[1] - span[0])), 20))
    QApplication.processEvents()
    QTest.mouseRelease(wipe, Qt.MouseButton.LeftButton, pos=start)
    assert wipe.share == pytest.approx(0.8, abs=0.02)
    press(Qt.Key.Key_W)
    assert view.surfaces[0].isVisible()


def test_three_have_no_divider(compare) -> None:
    view = compare(0, 1, 2)
    assert not view.mode.isVisible()
    press(Qt.Key.Key_W)
    assert all(surface.isVisible() for surface in view.surfaces)
