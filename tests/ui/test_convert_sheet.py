"""The Convert sheet in the real window, on the real converter process with a stand-in inside."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QComboBox, QFileDialog, QLineEdit

from gui import paths
from gui.convert.client import partial_folder
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import DownloadState, DownloadStatus, Machine
from gui.state.convert import state as convert_module
from gui.state.convert.state import Attention, Compression, ConvertPhase, ImageSize
from gui.state.model_entry import ModelEntry
from tests.support.hub_window import answer_question

MAC = Machine("Darwin", "15.2", "Apple M2 Pro", True, 12, 6, 16 * 2**30, 10**11)
WAIT = 60_000


@pytest.fixture
def source(home, monkeypatch):
    """Writes a checkpoint whose text says what becomes of it."""
    monkeypatch.setenv("SFUMATO_CONVERTER_STANDIN", "tests.support.fake_converter:backend")
    monkeypatch.setattr(convert_module, "_this_machine", lambda: MAC)

    def write(text="", name="dreams.safetensors"):
        file = home / name
        file.write_text(text)
        return str(file)

    return write


@pytest.fixture
def sheet(source, workspace):
    workspace.actions_.convert.trigger()
    return workspace.convert_desk.sheet


def click(button):
    assert button.isVisible() and button.isEnabled(), button.text()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def ready(sheet, qtbot, path):
    """Take a source, and wait until it can be converted."""
    sheet.source.set_path(path)
    qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=WAIT)


def until(sheet, qtbot, phase):
    qtbot.waitUntil(lambda: sheet.state.status.phase is phase, timeout=WAIT)


def test_before_a_source_there_is_nothing_to_press(sheet, qtbot):
    assert sheet.isVisible() and sheet.pages.currentIndex() == 0
    assert not sheet.convert_button.isEnabled()
    assert sheet.options.isHidden() and "Stable Diffusion 1, 2 and XL" in sheet.empty.text()
    qtbot.waitUntil(sheet.source.edit.hasFocus)


def test_a_chosen_file_is_recognised_and_the_best_choices_made(sheet, qtbot, source, monkeypatch):
    path = source()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (path, ""))
    click(sheet.source.file_button)
    qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=WAIT)
    facts = sheet.source.facts.text()
    assert facts == "Stable Diffusion 1 · 1.1 billion weights · 2.13 GB"
    request = sheet.options.request()
    assert request.name == "dreams" and request.sizes == (ImageSize(512, 512),)
    assert request.attention is Attention.SPLIT_EINSUM
    assert request.compression is Compression.NONE
    assert "recommended" in sheet.options.reason.text()
    for figure in ("2.60 GB on disk", "7 GB of memory", "7 min", "90.0 GB free"):
        assert figure in sheet.estimate.text()


def test_a_change_moves_the_estimate_and_the_recommendation_comes_back(sheet, qtbot, source):
    ready(sheet, qtbot, source())
    options = sheet.options
    options.compression.select_data(Compression.PALETTE_6)
    assert not sheet.convert_button.isEnabled(), "until it is known whether it can be done"
    qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=WAIT)
    assert "1.04 GB on disk" in sheet.estimate.text()
    click(options.recommend)
    assert options.compression.currentData() == Compression.NONE
    assert not options.recommend.isEnabled()


def test_sizes_are_chosen_by_chip_and_by_typing(sheet, qtbot, source):
    ready(sheet, qtbot, source())
    sizes = sheet.options.sizes
    click(sizes.chip(ImageSize(512, 768)))
    QTest.keyClicks(sizes.other, "640x448")
    assert sheet.options.request().sizes == (
        ImageSize(512, 512), ImageSize(512, 768), ImageSize(640, 448)
    )  # fmt: skip
    QTest.keyClicks(sizes.other, ", 500x512")
    assert "multiples of 64" in sizes.problem.text() and sizes.problem.isVisible()
    assert sheet.options.request() is None and not sheet.convert_button.isEnabled()


def test_more_options_arrive_in_the_request(sheet, qtbot, source, home, monkeypatch):
    ready(sheet, qtbot, source())
    options = sheet.options
    options.advanced.set_open(True)
    loras = [str(home / "a.safetensors"), str(home / "b.safetensors")]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (loras, ""))
    QTest.mouseClick(options.loras.add_button, Qt.MouseButton.LeftButton)
    options.loras._rows[0].scale.setValue(0.6)
    QTest.mouseClick(options.loras._rows[1].remove, Qt.MouseButton.LeftButton)
    options.controlnets.add(str(home / "canny"))
    options.batch_one.setChecked(True)
    options.chunked.setChecked(True)
    options.check.setChecked(False)
    options.target.select_data("macOS15")
    assert options.prediction.currentText() == "As the source says: noise"
    assert options.request().prediction_type == ""
    options.prediction.select_data("v_prediction")
    request = options.request()
    assert request.prediction_type == "v_prediction"
    assert [(lora.path, lora.scale) for lora in request.loras] == [(loras[0], 0.6)]
    assert request.controlnets == (str(home / "canny"),)
    assert request.control_ready and not options.control_ready.isEnabled()
    assert (request.unet_batch, request.chunked, request.check) == (1, True, False)
    assert request.target == "macOS15"


def test_what_cannot_be_converted_says_so_in_the_sheet(sheet, qtbot, source):
    sheet.source.set_path(source("foreign", "flux.safetensors"))
    qtbot.waitUntil(lambda: "Flux" in sheet.source.facts.text(), timeout=WAIT)
    assert not sheet.convert_button.isEnabled() and sheet.options.isHidden()
    QTest.keyClicks(sheet.source.edit, "x")
    QTest.keyClick(sheet.source.edit, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "no file or folder" in sheet.source.facts.text())
    assert sheet.isVisible(), "Return in the field must not close or start anything"


def test_a_refusal_is_shown_before_any_work(sheet, qtbot, source):
    sheet.source.set_path(source("refuse=The_disk_has_no_room_for_it."))
    qtbot.waitUntil(lambda: sheet.warning.isVisible(), timeout=WAIT)
    assert sheet.warning.text() == "The disk has no room for it."
    assert not sheet.convert_button.isEnabled()


def test_a_dropped_checkpoint_is_taken(sheet, qtbot, source):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(source())])
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    plain = Qt.KeyboardModifier.NoModifier
    sheet.source.dropEvent(QDropEvent(QPointF(5, 5), copy, data, left, plain))
    qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=WAIT)


def test_a_checkpoint_opened_with_the_window_opens_the_sheet(workspace, qtbot, source):
    workspace.open_path(source())
    qtbot.waitUntil(lambda: workspace.convert_desk.sheet is not None)
    sheet = workspace.convert_desk.sheet
    qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=WAIT)


def test_the_plus_button_offers_to_add_and_to_convert(workspace, source):
    panel = workspace.models_panel
    offers = {action.text(): action for action in panel.add_menu().actions()}
    assert list(offers) == ["Add Model Folder…", "Convert a Model…"]
    offers["Convert a Model…"].trigger()
    assert workspace.convert_desk.sheet.isVisible()


def test_from_source_to_a_model_in_use(sheet, workspace, qtbot, source):
    ready(sheet, qtbot, source("sleep=0.05 psnr=31"))
    click(sheet.convert_button)
    assert sheet.pages.currentIndex() == 1
    assert sheet.progress.heading.text() == "Converting “dreams”"
    until(sheet, qtbot, ConvertPhase.DONE)
    said = {line.name.text(): line.what.text() for line in sheet.progress.lines}
    assert said["Text encoder"] == "matches the original: 80 dB"
    assert said["UNet"] == "differs from the original: 31 dB"
    assert sheet.progress.lines[1].warning.text() == "Less alike than it should be."
    assert "UNet: tracing" in sheet.progress.log.toPlainText()
    assert "2.00 GB on disk" in sheet.progress.state.text()
    folder = paths.models_dir() / "dreams"
    click(sheet.use_button)
    assert not sheet.isVisible()
    qtbot.waitUntil(lambda: workspace.studio.model.folder == folder, timeout=WAIT)
    assert isinstance(workspace.studio.model, ModelEntry)


def test_the_sheet_may_be_closed_meanwhile_and_the_window_goes_on_telling(
    sheet, workspace, qtbot, source, home
):
    strip = workspace.convert_desk.strip
    assert strip.isHidden()
    go = home / "go"
    ready(sheet, qtbot, source(f"go={go}"))
    click(sheet.convert_button)
    qtbot.waitUntil(lambda: len(sheet.progress.lines) == 2, timeout=WAIT)
    click(sheet.hide_button)
    assert not sheet.isVisible() and strip.isVisible()
    assert "dreams" in strip.title.whole_text() and "%" in strip.text.whole_text()
    assert workspace.prompt_panel.isEnabled()
    workspace.open_path(source())  # another one, dropped meanwhile
    statement = workspace.canvas.banner.statement
    qtbot.waitUntil(lambda: "One model is converted at a time" in statement.text())
    sheet.close()
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton)
    assert sheet.isVisible() and sheet.pages.currentIndex() == 1
    go.touch()
    until(sheet, qtbot, ConvertPhase.DONE)
    assert "is ready" in strip.title.whole_text()
    sheet.close()
    click(strip.close_button)
    assert strip.isHidden()


def test_cancelling_goes_back_to_the_choices_and_leaves_nothing(sheet, qtbot, source, home):
    ready(sheet, qtbot, source(f"go={home / 'go'}"))
    click(sheet.convert_button)
    qtbot.waitUntil(lambda: len(sheet.progress.lines) == 2, timeout=WAIT)
    click(sheet.stop_button)
    assert "finished parts will be deleted" in answer_question(sheet, "Go On")
    assert sheet.state.status.phase is ConvertPhase.RUNNING
    click(sheet.stop_button)
    answer_question(sheet, "Cancel Conversion")
    assert not sheet.stop_button.isEnabled() and "Stopping" in sheet.progress.heading.text()
    until(sheet, qtbot, ConvertPhase.CANCELLED)
    assert sheet.pages.currentIndex() == 0
    assert list(paths.models_dir().iterdir()) == []


def test_a_failure_says_what_to_do_and_goes_on_from_there(sheet, qtbot, source):
    ready(sheet, qtbot, source("kill_at=2"))
    click(sheet.convert_button)
    until(sheet, qtbot, ConvertPhase.FAILED)
    box = sheet.progress.error
    assert box.isVisible() and "for want of memory" in box.statement.text()
    assert "kept" in box.advice.text()
    source("")
    click(sheet.resume_button)
    until(sheet, qtbot, ConvertPhase.DONE)
    assert sheet.progress.lines[0].what.text() == "already converted"
    assert box.isHidden()


def test_a_paused_conversion_can_be_thrown_away(sheet, qtbot, source):
    ready(sheet, qtbot, source("hang_at=2"))
    click(sheet.convert_button)
    qtbot.waitUntil(lambda: len(sheet.progress.lines) == 2, timeout=WAIT)
    click(sheet.pause_button)
    until(sheet, qtbot, ConvertPhase.PAUSED)
    assert len(list(paths.models_dir().iterdir())) == 1
    click(sheet.discard_button)
    answer_question(sheet, "Keep")
    assert sheet.state.status.phase is ConvertPhase.PAUSED
    click(sheet.discard_button)
    answer_question(sheet, "Throw Away")
    assert sheet.pages.currentIndex() == 0
    qtbot.waitUntil(lambda: list(paths.models_dir().iterdir()) == [], timeout=WAIT)


def test_a_conversion_of_yesterday_is_offered_again(open_workspace, qtbot, source):
    workspace, _ = open_workspace()
    workspace.convert_desk.show()
    sheet = workspace.convert_desk.sheet
    ready(sheet, qtbot, source("hang_at=2"))
    click(sheet.convert_button)
    qtbot.waitUntil(lambda: len(sheet.progress.lines) == 2, timeout=WAIT)
    workspace.main_window.close()
    assert partial_folder(str(paths.models_dir() / "dreams")).is_dir()

    source("")
    workspace, _ = open_workspace()
    assert workspace.convert_desk.strip.isVisible()
    assert workspace.convert_desk.strip.title.whole_text() == "Unfinished conversion"
    QTest.keyClick(workspace.convert_desk.strip, Qt.Key.Key_Space)
    sheet = workspace.convert_desk.sheet
    assert "“dreams” was interrupted" in sheet.notice.text.text()
    click(sheet.notice.go_on)
    until(sheet, qtbot, ConvertPhase.DONE)
    assert workspace.studio.convert.unfinished == []


class TestFromTheHub:
    def name(self, sheet, qtbot, text="maker/dreams"):
        with qtbot.waitSignal(sheet.state.found, check_params_cb=lambda asked, _: asked == text):
            QTest.keyClicks(sheet.source.edit, text)
            QTest.keyClick(sheet.source.edit, Qt.Key.Key_Return)

    def status(self, state, **more):
        return DownloadStatus(
            "1", "maker/dreams", "source", "dreams", "abc", state, 4_000_000_000, **more
        )

    @pytest.fixture
    def asked(self, workspace, monkeypatch):
        repos: list[str] = []
        monkeypatch.setattr(workspace.studio.hub.downloads, "start_source", repos.append)
        return repos

    def test_a_named_model_is_fetched_and_then_looked_at(
        self, sheet, workspace, qtbot, source, asked
    ):
        downloads = workspace.studio.hub.downloads
        self.name(sheet, qtbot)
        assert "downloaded first" in sheet.source.facts.text()
        assert sheet.convert_button.text() == "Download"
        click(sheet.convert_button)
        assert asked == ["maker/dreams"] and not sheet.convert_button.isEnabled()
        downloads.changed.emit(self.status(DownloadState.FETCHING, bytes_done=10**9))
        assert "1.00 GB of 4.00 GB" in sheet.source.facts.text()
        folder = source()
        downloads.changed.emit(self.status(DownloadState.DONE, folder=folder))
        qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=WAIT)
        assert sheet.convert_button.text() == "Convert"
        click(sheet.convert_button)
        assert sheet.state.status.request.source_repo == "maker/dreams"
        assert sheet.state.status.request.source_revision == "abc"
        until(sheet, qtbot, ConvertPhase.DONE)

    def test_a_download_that_ends_does_not_take_the_place_of_a_newer_source(
        self, sheet, workspace, qtbot, source, asked, home
    ):
        downloads = workspace.studio.hub.downloads
        self.name(sheet, qtbot)
        click(sheet.convert_button)
        other = source(name="mine.safetensors")
        ready(sheet, qtbot, other)
        downloads.changed.emit(self.status(DownloadState.FETCHING, bytes_done=10**9))
        downloads.changed.emit(self.status(DownloadState.DONE, folder=source()))
        assert sheet.options.request().source == other and sheet.convert_button.isEnabled()
        assert "Stable Diffusion 1" in sheet.source.facts.text()
        sheet.source.edit.clear()
        self.name(sheet, qtbot)  # what has been fetched can still be asked for
        click(sheet.convert_button)
        assert asked == ["maker/dreams"] * 2

    @pytest.mark.parametrize("text", ["maker/dreams", "nothing of this name"])
    def test_a_late_answer_does_not_take_the_place_of_a_newer_source(
        self, sheet, qtbot, source, text, home
    ):
        look = home / "look"
        sheet.source.set_path(source(f"look={look}"))
        qtbot.waitUntil(lambda: "Reading" in sheet.source.facts.text())
        sheet.source.edit.clear()
        self.name(sheet, qtbot, text)
        said = sheet.source.facts.text()
        assert text in said
        with qtbot.waitSignal(sheet.state._look.looked):
            look.touch()
        assert sheet.source.facts.text() == said and sheet.options.isHidden()
        assert sheet.convert_button.isEnabled() == (text == "maker/dreams")

    def test_a_repository_without_core_ml_is_handed_over_by_its_sheet(
        self, workspace, source, qtbot
    ):
        workspace.models_desk.show_repo("maker/dreams")
        workspace.models_desk.sheet.convert_requested.emit("maker/dreams")
        sheet = workspace.convert_desk.sheet
        assert sheet.source.text() == "maker/dreams"
        qtbot.waitUntil(lambda: sheet.convert_button.text() == "Download")

    def test_a_download_that_fails_says_why(self, sheet, workspace, qtbot, asked):
        self.name(sheet, qtbot, "https://huggingface.co/maker/dreams")
        click(sheet.convert_button)
        error = SfumatoError(ErrorKind.ACCESS, "Accept the terms of maker/dreams first.")
        workspace.studio.hub.downloads.refused.emit("maker/dreams", "", error)
        assert sheet.source.facts.text() == "Accept the terms of maker/dreams first."
        assert not sheet.state.fetching
        assert sheet.convert_button.text() == "Try Again" and sheet.convert_button.isEnabled()
        click(sheet.convert_button)
        assert asked == ["maker/dreams"] * 2
        assert sheet.convert_button.text() == "Download" and not sheet.convert_button.isEnabled()
        lost = SfumatoError(ErrorKind.NETWORK, "The connection broke off; try again.")
        failed = self.status(DownloadState.FAILED, error=lost)
        workspace.studio.hub.downloads.changed.emit(failed)
        assert sheet.source.facts.text() == "The connection broke off; try again."
        assert sheet.convert_button.text() == "Try Again" and sheet.convert_button.isEnabled()


def test_everything_has_a_name_for_assistive_programs_and_fits_the_smallest_window(
    sheet, qtbot, source
):
    ready(sheet, qtbot, source())
    sheet.options.advanced.set_open(True)
    for kind in (QAbstractButton, QComboBox, QLineEdit):
        for widget in sheet.findChildren(kind):
            if widget.isVisible():
                text = widget.accessibleName() or getattr(widget, "text", str)()
                assert text, widget
    assert sheet.height() <= 640 and sheet.width() <= 1024
    assert sheet.convert_button.isDefault()
