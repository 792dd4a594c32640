"""Small signs: what was copied, what would be taken, where the focus is, texts from outside."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QAccessible, QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton

from gui.errors import ErrorKind, SfumatoError
from gui.ui.canvas.empty_state import chip_text
from gui.ui.prompt.known_words import _link
from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.toast import Toast, say_briefly

LEFT = Qt.MouseButton.LeftButton


def toast_of(widget):
    return widget.findChild(Toast, options=Qt.FindChildOption.FindDirectChildrenOnly)


def test_a_toast_is_read_aloud_and_goes_by_itself(workspace, qtbot, monkeypatch):
    spoken = []
    monkeypatch.setattr(
        QAccessible, "updateAccessibility", lambda event: spoken.append(event.message())
    )
    over = workspace.canvas.stack
    say_briefly(over, "Copied")
    toast = toast_of(over)
    assert toast.isVisible() and spoken == ["Copied"]
    assert over.rect().contains(toast.geometry())
    say_briefly(over, "Details copied")
    assert toast.text.text() == "Details copied"
    assert len(over.findChildren(Toast)) == 1
    qtbot.waitUntil(toast.isHidden)


def test_copied_details_and_versions_say_so(workspace, qtbot):
    banner = workspace.canvas.banner
    banner.show_error(SfumatoError(ErrorKind.STORAGE, "The disk is full.", "ENOSPC"))
    QTest.mouseClick(banner.copy_button, LEFT)
    assert toast_of(workspace.canvas.stack).text.text() == "Details copied"
    assert banner.error is not None, "what is copied still stands"
    workspace.actions_.about.trigger()
    about = workspace.window_desk.dialogs["about"]
    QTest.mouseClick(about.copy_button, LEFT)
    assert toast_of(about).isVisible()


def drag(widget, urls, kind):
    data = QMimeData()
    data.setUrls(urls)
    copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    if kind is QDropEvent:
        event = QDropEvent(QPointF(5, 5), copy, data, LEFT, none)
    else:
        event = QDragEnterEvent(QPoint(5, 5), copy, data, LEFT, none)
        event.ignore()
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


@pytest.mark.parametrize(
    ("url", "lit"),
    [
        ("file:///models/some-model", True),
        ("file:///models/odd.name", True),  # whether it is a folder, only the disk knows
        ("https://huggingface.co/apple/coreml-stable-diffusion-v1-5", True),
        ("file:///pictures/a.png", False),
        ("file:///checkpoints/a.safetensors", False),
    ],
)
def test_the_models_light_up_for_what_they_take(workspace, url, lit):
    panel = workspace.models_panel
    drag(panel, [QUrl(url)], QDragEnterEvent)
    assert panel.glow.isVisible() is lit
    if lit:
        assert panel.glow.geometry() == panel.rect()
        QApplication.sendEvent(panel, QDragLeaveEvent())
        assert not panel.glow.isVisible()


def test_a_dropped_file_that_is_no_folder_is_refused_in_a_sentence(workspace, qtbot, tmp_path):
    panel = workspace.models_panel
    file = tmp_path / "notes"
    file.write_text("no model")
    url = QUrl.fromLocalFile(str(file))
    assert drag(panel, [url], QDragEnterEvent)
    drag(panel, [url], QDropEvent)
    assert not panel.glow.isVisible()
    banner = workspace.canvas.banner
    qtbot.waitUntil(lambda: banner.error is not None)
    assert "notes" in banner.statement.text()


def test_rings_go_by_the_hand_that_moved_last(workspace, qtbot):
    """A dialog opened, or a focus moved on, by a click shows none; the first key brings it."""
    window, panel = workspace.main_window, workspace.prompt_panel
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    at = window.mapFromGlobal(workspace.canvas.mapToGlobal(QPoint(5, 5)))
    QTest.mouseClick(window.windowHandle(), LEFT, pos=at)
    panel.generate.setFocus(Qt.FocusReason.OtherFocusReason)  # as what was clicked may do
    assert not shows_ring(panel.generate)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Shift)
    assert not shows_ring(panel.generate)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_F5)
    assert shows_ring(panel.generate)
    panel.seed.dice.setFocus(Qt.FocusReason.OtherFocusReason)
    assert shows_ring(panel.seed.dice)


def test_an_ampersand_is_seen_on_buttons_and_in_menus(workspace):
    assert chip_text("salt & pepper") == "salt && pepper"
    assert chip_text("a" * 100).endswith("…") and len(chip_text("a" * 100)) == 60
    link = _link("Q & A…", "<b>& more</b>")
    plain, odd = QPushButton("Q && A…"), QLabel(link.toolTip())
    assert link.text() == plain.text()
    odd.setTextFormat(Qt.TextFormat.RichText)
    assert "&lt;b&gt;" in link.toolTip()
    from gui.state.hub.types import SearchQuery
    from gui.ui.hub.filters import active_filters, without_filters
    from gui.ui.widgets.filtering import FilterChips

    chips = FilterChips(active_filters, without_filters)
    chips.set_query(SearchQuery(licence="mit&more"))
    assert any("mit&&more" in chip.text() for chip in chips.chips())


def test_models_of_other_folders_count(workspace, qtbot, tmp_path):
    text = workspace.models_panel.library_text
    assert text.whole_text() == "Only the starter model"
    for number, name in enumerate(("one", "two"), 1):
        (tmp_path / name / "unet.mlpackage").mkdir(parents=True)
        with qtbot.waitSignal(workspace.studio.models.added):
            workspace.studio.models.add_folder(str(tmp_path / name))
        assert text.whole_text().startswith(f"{number} model")
    assert text.whole_text() == "2 models in other folders"
