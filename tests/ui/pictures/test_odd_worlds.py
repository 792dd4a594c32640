"""Picture folders as they are found in the world: gone and back, full of other things, damaged,
slow.  One clear sentence at most, nothing lost, and the window never waits."""

from __future__ import annotations

import os
import shutil
import struct
import threading
import zlib
from pathlib import Path

from PySide6.QtCore import Qt, QTimer

from gui import paths
from gui.library import picture_scan
from tests.support.disk_watch import touched
from tests.ui.pictures.hands import chosen, click, name, press, write

FOREIGN = int(os.environ.get("SFUMATO_FOREIGN_FILES", "2000"))


def names(pictures) -> list[str]:
    held = [pictures.picture(row) for row in range(pictures.rowCount())]
    return [name(picture) for picture in held if picture is not None]


def test_a_disk_that_goes_is_said_once_and_what_is_on_it_comes_back(
    workspace, gallery, files, tmp_path, qtbot
):
    said: list[str] = []
    workspace.studio.notice.connect(said.append)
    pictures, folder = workspace.studio.gallery, files[0].parent
    click(gallery.grid, 2)
    workspace.studio.marks.toggle_favourite([pictures.id_at(2)])
    qtbot.waitUntil(lambda: pictures.picture(2).favourite)
    folder.rename(tmp_path / "away")
    qtbot.waitUntil(lambda: len(said) == 1)
    assert said[0].startswith(f"The picture folder “{folder}” cannot be reached; connect its disk")
    assert said[0].endswith("Nothing in it is lost, and it comes back by itself.")
    workspace.studio.library.refresh()
    with qtbot.waitSignal(workspace.studio.library.looking):
        pass
    assert len(names(pictures)) == 7 and chosen(gallery) == "2"
    write(tmp_path / "away", 50, 0)
    (tmp_path / "away").rename(folder)
    qtbot.waitUntil(lambda: "050" in names(pictures))
    assert len(names(pictures)) == 8 and chosen(gallery) == "2" and len(said) == 1
    write(folder, 51, 0)  # it is followed again
    qtbot.waitUntil(lambda: "051" in names(pictures))


def test_an_empty_mount_point_is_a_disk_that_is_not_there(
    workspace, gallery, files, tmp_path, qtbot
):
    pictures, folder = workspace.studio.gallery, files[0].parent
    folder.rename(tmp_path / "away")
    folder.mkdir()
    with qtbot.waitSignal(workspace.studio.notice):
        workspace.studio.library.refresh()
    assert len(names(pictures)) == 7
    folder.rmdir()
    (tmp_path / "away").rename(folder)
    write(folder, 50, 0)
    qtbot.waitUntil(lambda: "050" in names(pictures))


def test_files_that_go_under_the_gallerys_feet(workspace, gallery, files, qtbot):
    """Renamed, replaced, deleted with their folder, while they are chosen and looked at."""
    pictures, folder = workspace.studio.gallery, files[0].parent
    workspace.editing.edit("selectAll")
    press(gallery.grid, Qt.Key.Key_Space)
    files[0].rename(folder / "renamed.png")
    files[1].unlink()
    files[2].write_bytes(b"no picture any more")
    (folder / "day").mkdir()
    moved = folder / "day" / "moved.png"
    files[3].rename(moved)
    qtbot.waitUntil(lambda: sorted(names(pictures)) == ["004", "005", "006", "moved", "renamed"])
    shutil.rmtree(folder / "day")
    qtbot.waitUntil(lambda: sorted(names(pictures)) == ["004", "005", "006", "renamed"])
    assert set(gallery.chosen_ids()) <= set(pictures.ids())


def test_a_picture_that_went_is_one_sentence_on_the_canvas(workspace, gallery, files, qtbot):
    pictures = workspace.studio.pictures
    qtbot.waitUntil(lambda: pictures.picture(4) is not None)
    picture = pictures.picture(4)
    files[4].unlink()
    workspace.canvas.look_at(picture)
    banner = workspace.canvas.banner
    qtbot.waitUntil(lambda: "004.png" in banner.statement.text())
    assert banner.statement.text().count(".") <= 2 and banner.statement.text().endswith(".")


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def zoo(folder: Path, good: Path) -> None:
    """What no folder should hold."""
    data = good.read_bytes()
    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0" * 99))
    (folder / "bomb.png").write_bytes(bomb)
    (folder / "cut.png").write_bytes(data[: len(data) // 2])
    (folder / "liar.jpg").write_bytes(data)
    (folder / "empty.webp").touch()
    (folder / "noise.heic").write_bytes(os.urandom(3000))
    long = b"\x89PNG\r\n\x1a\n" + data[8:33] + chunk(b"tEXt", b"parameters\0" + b"a " * 2_000_000)
    (folder / "long.png").write_bytes(long + data[33:])
    os.mkfifo(folder / "pipe.png")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere.png").symlink_to(folder / "not there.png")
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "a folder.png").mkdir()
    (folder / "x\udc80y.png").write_bytes(data)  # a name that is no text


def test_a_folder_of_odd_things_shows_what_are_pictures(workspace, gallery, files, qtbot):
    pictures, folder = workspace.studio.gallery, files[0].parent
    errors: list[str] = []
    workspace.studio.error_raised.connect(lambda error: errors.append(error.message))
    zoo(folder, files[0])
    write(folder, 60, 0)
    qtbot.waitUntil(lambda: "060" in names(pictures))
    workspace.studio.library.refresh()
    qtbot.waitUntil(lambda: "liar" in names(pictures) and "long" in names(pictures))
    assert not {"pipe", "nowhere", "self", "empty", "noise", "a folder"} & set(names(pictures))
    assert errors == [], "nobody asked for these"
    odd = [pictures.picture(row) for row in range(pictures.rowCount())
           if name(pictures.picture(row)) in ("bomb", "cut")]  # fmt: skip
    banner = workspace.canvas.banner
    for picture in odd:
        qtbot.waitUntil(lambda p=picture: pictures.thumbnail(p) is not None)
        banner.dismiss()
        workspace.canvas.look_at(picture)
        qtbot.waitUntil(lambda p=picture: name(p) in banner.statement.text())
        assert banner.statement.text().endswith(".")


def test_thousands_of_foreign_files_are_opened_once_at_most(
    workspace, gallery, files, monkeypatch, qtbot
):
    pictures, folder, opened = workspace.studio.gallery, files[0].parent, []
    facts_of = picture_scan.facts_of

    def counted(path, status=None):
        opened.append(path.name)
        return facts_of(path, status)

    monkeypatch.setattr(picture_scan, "facts_of", counted)
    beats: list[int] = []
    timer = QTimer(interval=0)
    timer.timeout.connect(lambda: beats.append(len(opened)))
    timer.start()
    with touched(folder) as found:
        other = threading.Thread(target=lambda: foreign(folder))
        other.start()
        qtbot.waitUntil(lambda: not other.is_alive())
        write_elsewhere = threading.Thread(target=lambda: write(folder, 80, 0))
        write_elsewhere.start()
        qtbot.waitUntil(lambda: "080" in names(pictures))
    assert found == [], "the window's thread looks at none of them"
    library = workspace.studio.library
    library.refresh()
    qtbot.waitUntil(lambda: opened.count("080.png") == 1 and settled(library, qtbot))
    before = len(opened)
    library.refresh()
    assert settled(library, qtbot) and len(opened) == before, "what is no picture is remembered"
    assert not any(name_.endswith(".txt") for name_ in opened)
    assert len(names(pictures)) == 8 and len(set(beats)) > 1, "it went on beside the window"


def settled(library, qtbot) -> bool:
    """Until the folders have been looked at and nothing more is to be done."""
    done: list[int] = []
    library.looking.connect(done.append)
    library.refresh()
    qtbot.waitUntil(lambda: -1 in done)
    library.looking.disconnect(done.append)
    return True


def foreign(folder: Path) -> None:
    for number in range(FOREIGN):
        (folder / f"{number}.{'txt' if number % 2 else 'png'}").write_text("no picture")


def test_a_disk_that_does_not_answer_holds_up_neither_search_nor_the_end(
    workspace, gallery, files, monkeypatch, qtbot
):
    """The look at the folders waits for ever; what is known is still found, and all can be quit."""
    pictures, dead, asked = workspace.studio.gallery, threading.Event(), threading.Event()
    real = os.scandir

    def scandir(path="."):
        if threading.current_thread().name == "picture-folders":
            asked.set()
            dead.wait()
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    workspace.studio.library.refresh()
    qtbot.waitUntil(asked.is_set)
    gallery.search.setText("fog")
    gallery._search_now()
    qtbot.waitUntil(lambda: pictures.rowCount() == 4)
    workspace.studio.marks.toggle_favourite([pictures.id_at(0)])
    qtbot.waitUntil(lambda: pictures.picture(0) is not None and pictures.picture(0).favourite)
    workspace.main_window.close()
    assert not workspace.main_window.isVisible()
    dead.set()


def test_nothing_is_needed_of_a_folder_that_cannot_be_written(gallery, files):
    """The index, thumbnails and marks lie elsewhere."""
    before = sorted(p.name for p in files[0].parent.iterdir())
    click(gallery.grid, 1)
    press(gallery.grid, Qt.Key.Key_F)
    assert sorted(p.name for p in files[0].parent.iterdir()) == before
    assert not any(paths.data_dir().is_relative_to(p) for p in [files[0].parent])
