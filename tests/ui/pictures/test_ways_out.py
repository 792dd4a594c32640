"""Pictures go to paper and to other programs: one or all that are chosen."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from PySide6.QtPrintSupport import QPrinter

from gui.errors import ErrorKind, SfumatoError
from gui.mac import FallbackServices, Program
from gui.state import desktop
from gui.ui.pictures.printing import PicturePrinter


class Mac(FallbackServices):
    """A desktop that has every service, and notes what it was asked."""

    can_share = True
    can_set_wallpaper = True

    def __init__(self) -> None:
        super().__init__("linux")
        self.asked: list[tuple[str, list[str], object]] = []
        self.refusal: SfumatoError | None = None

    def applications(self, path: Path) -> list[Program]:
        names = ("Preview", "R&D <b>Paint</b>")
        return [Program(name, Path(f"/Applications/{name}.app")) for name in names]

    def open_with(self, paths, application=None) -> None:
        name = application.name if application is not None else ""
        self.asked.append(("open", [p.name for p in paths], name))

    def share(self, paths, view, at) -> None:
        self.asked.append(("share", [p.name for p in paths], view > 0))

    def set_wallpaper(self, path) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(("wallpaper", [path.name], None))


@pytest.fixture
def mac(monkeypatch) -> Mac:
    services = Mac()
    monkeypatch.setattr(desktop, "services", lambda: services)
    return services


@pytest.fixture
def desk(files, request, open_workspace):
    """Opened on the desktop that the test has asked for before."""
    if "mac" in request.fixturenames:
        request.getfixturevalue("mac")
    return open_workspace()


def choose_two(gallery) -> None:
    gallery.grid.choose(0)
    gallery.grid.selection.extend(1)


def test_what_is_chosen_is_shared_opened_and_hung(mac, gallery, workspace, qtbot):
    a = workspace.actions_
    choose_two(gallery)
    a.share.trigger()
    qtbot.waitUntil(lambda: mac.asked == [("share", ["000.png", "001.png"], True)])
    menu = a.open_with_menu
    menu.aboutToShow.emit()
    qtbot.waitUntil(lambda: len(menu.actions()) == 2)
    assert [entry.text() for entry in menu.actions()] == [
        "Preview (default)", "R&&D <b>Paint</b>",
    ]  # fmt: skip
    menu.actions()[1].trigger()
    qtbot.waitUntil(lambda: len(mac.asked) == 2)
    assert mac.asked[1] == ("open", ["000.png", "001.png"], "R&D <b>Paint</b>")
    menu.actions()[0].trigger()
    qtbot.waitUntil(lambda: len(mac.asked) == 3)
    assert mac.asked[2] == ("open", ["000.png", "001.png"], "")
    a.wallpaper.trigger()
    assert mac.asked[3][:2] == ("wallpaper", [Path(gallery.current().path).name])
    mac.refusal = SfumatoError(ErrorKind.STORAGE, "It was refused; choose it in System Settings.")
    a.wallpaper.trigger()
    assert workspace.canvas.banner.statement.text() == mac.refusal.message


def test_where_there_is_no_sharing_the_menus_say_nothing_of_it(workspace):
    a = workspace.actions_
    if sys.platform != "darwin":
        assert not a.share.isVisible() and not a.wallpaper.isVisible()
    assert a.open_with.isVisible() and a.print.isVisible()


@pytest.fixture
def paper(tmp_path) -> QPrinter:
    """A printer that writes a file."""
    printer = QPrinter(QPrinter.PrinterMode.HighResolution)
    printer.setOutputFormat(QPrinter.OutputFormat.PdfFormat)
    printer.setOutputFileName(str(tmp_path / "paper.pdf"))
    return printer


def pages(file: Path) -> list[tuple[float, float]]:
    """Width and height of every page of a PDF, in points."""
    found = re.findall(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]", file.read_bytes())
    return [(float(width), float(height)) for width, height in found]


def test_every_picture_gets_a_page_that_lies_as_it_does(files, workspace, paper, qtbot, tmp_path):
    from PIL import Image

    tall = tmp_path / "tall.png"
    Image.new("RGB", (600, 1200), "#204080").save(tall)
    job = PicturePrinter(workspace.studio.background, workspace)
    told: list[SfumatoError] = []
    job.failed.connect(told.append)
    with qtbot.waitSignal(job.done) as done:
        job.print_on(paper, [str(files[0]), str(tmp_path / "gone.png"), str(tall)])
    assert done.args == [2] and ["gone.png" in error.message for error in told] == [True]
    (wide_page, tall_page) = pages(tmp_path / "paper.pdf")
    assert wide_page[0] > wide_page[1] and tall_page[0] < tall_page[1]


@pytest.mark.qt_log_ignore(r"QPainter::begin\(\): Returned false", extend=True)
def test_a_printer_that_cannot_be_used_is_said(files, workspace, paper, qtbot, tmp_path):
    paper.setOutputFileName(str(tmp_path / "absent" / "paper.pdf"))
    job = PicturePrinter(workspace.studio.background, workspace)
    with qtbot.waitSignal(job.failed) as failed:
        job.print_on(paper, [str(files[0])])
    assert "choose another one" in failed.args[0].message


def test_the_systems_dialog_is_asked_first(gallery, workspace, qtbot, monkeypatch):
    asked: list[list[str]] = []
    monkeypatch.setattr(PicturePrinter, "ask_and_print", lambda _, paths: asked.append(paths))
    choose_two(gallery)
    workspace.actions_.print.trigger()
    qtbot.waitUntil(lambda: [[Path(p).name for p in paths] for paths in asked] == [
        ["000.png", "001.png"]
    ])  # fmt: skip
