"""The care of installed models: verify, repair, update, Trash, leftovers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox

from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import DownloadState, FileProblem, Orphan
from gui.state import desktop
from gui.ui.models.actions import VerifyDialog, problems_text
from gui.ui.widgets.controls import ElidedLabel
from gui.ui.widgets.focus import shows_ring
from tests.support.fake_hub import FakeHub
from tests.support.hub_window import click, install, reading_from_the_hub, some_models
from tests.ui.conftest import read_by_name

REPO = "apple/coreml-model-0"
VARIANT = "split_einsum/compiled"


@pytest.fixture
def hub():
    return FakeHub(some_models(3))


@pytest.fixture
def folder(home):
    return install(REPO, VARIANT)


@pytest.fixture
def workspace(folder, open_workspace, hub, monkeypatch):
    from gui.state import models

    read = reading_from_the_hub(read_by_name)
    monkeypatch.setattr(models, "read_entry", read)
    return open_workspace(hub)[0]


@pytest.fixture
def entry(workspace, folder):
    return workspace.studio.models.entry(folder)


def choose(workspace, entry, text):
    """Choose a line of the model's menu."""
    menu = workspace.models_panel.menu_for(entry)
    next(action for action in menu.actions() if action.text() == text).trigger()


def lines(workspace, entry):
    return [a.text() for a in workspace.models_panel.menu_for(entry).actions() if a.text()]


def sheet_of(workspace, kind, qtbot):
    """The sheet over the window."""
    qtbot.waitUntil(lambda: any(w.isVisible() for w in workspace.findChildren(kind)))
    return next(w for w in workspace.findChildren(kind) if w.isVisible())


def press(box, text):
    click(next(b for b in box.buttons() if b.text().replace("&", "") == text))


# -- what is offered ----------------------------------------------------------------------------


def test_each_kind_of_model_has_the_deeds_that_make_sense(workspace, entry, tmp_path, qtbot):
    from_hub = lines(workspace, entry)
    for text in ("Verify Files…", "Repair…", "Open on the Hub", "Move to Trash…"):
        assert text in from_hub
    assert "Update…" not in from_hub
    starter = lines(workspace, workspace.studio.models.entries()[0])
    assert not {"Verify Files…", "Move to Trash…", "Update…"} & set(starter)
    added = tmp_path / "mine"
    (added / "unet.mlpackage").mkdir(parents=True)
    with qtbot.waitSignal(workspace.studio.models.added):
        workspace.studio.models.add_folder(str(added))
    mine = lines(workspace, workspace.studio.models.entry(added))
    assert "Remove from List" in mine and "Move to Trash…" not in mine


def test_the_details_say_where_a_model_is_from(workspace, entry):
    workspace.studio.select_model(entry)
    details = workspace.models_panel.details
    assert REPO in details.text.text()
    for fact in (VARIANT, "aaaaaaaa"):
        assert fact in details.technical.text.text()


def test_the_foot_sums_up_the_library(workspace, home, qtbot):
    text = workspace.models_panel.library_text
    assert text.whole_text() == "1 model installed · 1.23 GB"
    install("apple/other", "original")
    workspace.studio.models.refresh()
    qtbot.waitUntil(lambda: text.whole_text() == "2 models installed · 2.47 GB")


# -- verify and repair --------------------------------------------------------------------------


def test_verifying_a_sound_model(workspace, entry, hub, qtbot):
    hub.silent.add("verify")
    choose(workspace, entry, "Verify Files…")
    sheet = sheet_of(workspace, VerifyDialog, qtbot)
    hub.verify_progress(str(entry.folder), 0.5)
    assert sheet.bar.value() == 500
    hub.answer("verify", [])
    assert sheet.title.whole_text() == "All files are as the Hub has them."
    assert not sheet.repair_button.isVisible()
    click(sheet.close_button)
    assert not sheet.isVisible()


def test_bad_files_are_named_and_repaired(workspace, entry, hub, qtbot):
    hub.problems[str(entry.folder)] = [FileProblem("unet.mlpackage/weight.bin", "hash")]
    choose(workspace, entry, "Verify Files…")
    sheet = sheet_of(workspace, VerifyDialog, qtbot)
    qtbot.waitUntil(sheet.repair_button.isVisible)
    assert sheet.title.whole_text() == "1 file is not as the Hub has it."
    assert "“unet.mlpackage/weight.bin” has other contents" in sheet.text.text()
    click(sheet.repair_button)
    qtbot.waitUntil(lambda: sheet.title.whole_text().startswith("Repaired"))
    assert hub.count("repair") == 1


def test_a_repair_that_stops_says_why(workspace, entry, hub, qtbot):
    hub.problems[str(entry.folder)] = [FileProblem("a", "missing")]
    hub.silent.add("repair")
    choose(workspace, entry, "Repair…")
    sheet = sheet_of(workspace, VerifyDialog, qtbot)
    qtbot.waitUntil(lambda: bool(hub.open_questions("repair")))
    status = hub.move(hub._start(REPO, "", VARIANT))
    hub.answer("repair", status)
    assert sheet.bar.isVisible()
    gone = SfumatoError(ErrorKind.NOT_FOUND, "“a” is no longer on the Hub; get the model anew.")
    hub.fail_download(status.id, gone)
    assert sheet.title.whole_text() == "The files could not be repaired"
    assert sheet.text.text() == gone.message and not sheet.bar.isVisible()


def test_repair_checks_and_repairs_without_asking(workspace, entry, hub, qtbot):
    hub.problems[str(entry.folder)] = [FileProblem("a", "missing")]
    choose(workspace, entry, "Repair…")
    sheet = sheet_of(workspace, VerifyDialog, qtbot)
    qtbot.waitUntil(lambda: sheet.title.whole_text().startswith("Repaired"))


def test_stopping_a_check_ends_it(workspace, entry, hub, qtbot):
    hub.silent.add("verify")
    choose(workspace, entry, "Verify Files…")
    sheet = sheet_of(workspace, VerifyDialog, qtbot)
    click(sheet.close_button)
    assert not workspace.studio.hub.is_verifying(str(entry.folder))
    assert hub.open_questions("verify") == []


def test_a_check_that_fails_says_why(workspace, entry, hub, qtbot):
    sentence = "The Hub cannot be reached, so there is nothing to compare with; try again later."
    hub.errors["verify"] = SfumatoError(ErrorKind.NETWORK, sentence)
    choose(workspace, entry, "Verify Files…")
    sheet = sheet_of(workspace, VerifyDialog, qtbot)
    qtbot.waitUntil(lambda: sheet.title.whole_text() == "The files could not be checked")
    assert sheet.text.text() == sentence
    assert sheet.text.height() >= sheet.text.heightForWidth(sheet.text.width()), "all of it"


def test_many_bad_files_do_not_fill_the_screen():
    text = problems_text([FileProblem(f"file-{k}", "size") for k in range(40)])
    assert text.count("\n") == 6
    assert text.endswith("and 34 more files")


# -- update -------------------------------------------------------------------------------------


def test_an_update_is_offered_and_fetched_after_asking(workspace, entry, hub, qtbot):
    folder = str(entry.folder)
    hub.updates[folder] = "b" * 40
    next(
        a
        for a in workspace.models_panel.menu_for(None).actions()
        if a.text() == "Check for Updates"
    ).trigger()
    library = workspace.studio.models
    qtbot.waitUntil(lambda: bool(library.entry(folder).update))
    assert "update" in workspace.canvas.banner.statement.text()
    choose(workspace, library.entry(folder), "Update…")
    press(sheet_of(workspace, QMessageBox, qtbot), "Update")
    qtbot.waitUntil(lambda: bool(hub.downloads))
    status = next(iter(hub.downloads.values()))
    assert (status.repo, status.variant, status.revision) == (REPO, VARIANT, "b" * 40)


def test_an_update_that_is_there_is_told(workspace, entry, hub, qtbot):
    folder = str(entry.folder)
    hub.updates[folder] = "b" * 40
    workspace.studio.hub.look_for_updates()
    library = workspace.studio.models
    qtbot.waitUntil(lambda: bool(library.entry(folder).update))
    workspace.studio.hub.update(folder)
    qtbot.waitUntil(lambda: bool(hub.downloads))
    (entry.folder / "from").write_text(f"{REPO}\n{VARIANT}\n{'b' * 40}")
    hub.finish(next(iter(hub.downloads)), folder)
    assert workspace.canvas.banner.statement.text() == "“coreml-model-0” is up to date now."
    qtbot.waitUntil(lambda: not library.entry(folder).update)
    assert library.entry(folder).revision == "b" * 40


def test_an_update_can_be_fetched_from_the_sheet(workspace, entry, hub, qtbot):
    hub.updates[str(entry.folder)] = "b" * 40
    workspace.studio.hub.look_for_updates()
    workspace.models_desk.show_repo(REPO)
    bar = workspace.models_desk.sheet.bar
    qtbot.waitUntil(bar.update_button.isVisible)
    assert bar.main.text() == "Use"
    click(bar.update_button)
    qtbot.waitUntil(bar.cancel.isVisible)
    assert next(iter(hub.downloads.values())).revision == "b" * 40


def test_without_an_update_that_is_said_too(workspace, hub, qtbot):
    workspace.models_panel.updates_requested.emit()
    banner = workspace.canvas.banner
    qtbot.waitUntil(lambda: banner.statement.text() == "No updates were found.")


def test_a_failed_question_does_not_come_up_as_the_answer_to_a_later_one(workspace, hub, qtbot):
    down = SfumatoError(ErrorKind.NETWORK, "The Hub cannot be reached.")
    hub.errors |= {"orphans": down, "updates": down}
    workspace.models_panel.leftovers_requested.emit()
    workspace.models_panel.updates_requested.emit()
    banner = workspace.canvas.banner
    qtbot.waitUntil(lambda: banner.statement.text() == down.message)
    hub.errors.clear()
    asked = hub.count("orphans"), hub.count("updates")
    workspace.models_desk.show_hub()  # which looks for both of its own accord
    qtbot.waitUntil(lambda: hub.count("orphans") > asked[0] and hub.count("updates") > asked[1])
    qtbot.waitUntil(lambda: not hub.open_questions("orphans") + hub.open_questions("updates"))
    assert workspace.models_desk.leftovers is None
    assert banner.statement.text() == down.message


# -- Trash --------------------------------------------------------------------------------------


@pytest.fixture
def trash(tmp_path, monkeypatch):
    """Stands where the system's Trash is."""
    place = tmp_path / "Trash"
    place.mkdir()

    def move(path: str) -> None:
        shutil.move(path, place / Path(path).name)

    monkeypatch.setattr(desktop, "move_to_trash", move)
    return place


def test_moving_to_the_trash_asks_first(workspace, entry, trash, qtbot):
    choose(workspace, entry, "Move to Trash…")
    box = sheet_of(workspace, QMessageBox, qtbot)
    assert "coreml-model-0" in box.text()
    assert "1.23 GB" in box.informativeText()
    press(box, "Cancel")
    assert entry.folder.is_dir()
    assert list(trash.iterdir()) == []


def test_a_trashed_model_leaves_the_list_and_the_starter_takes_over(workspace, entry, trash, qtbot):
    workspace.studio.select_model(entry)
    choose(workspace, entry, "Move to Trash…")
    press(sheet_of(workspace, QMessageBox, qtbot), "Move to Trash")
    qtbot.waitUntil(lambda: workspace.studio.models.entry(entry.folder) is None)
    assert not entry.folder.exists()
    assert workspace.studio.model.starter
    assert workspace.models_panel.library_text.whole_text() == "Only the starter model"


@pytest.mark.parametrize("in_use", [True, False])
def test_after_the_trash_the_focus_is_on_the_card_in_use(workspace, entry, trash, qtbot, in_use):
    """By key, or from the menu of a card that is not the one in use."""
    view, models = workspace.models_panel.list, workspace.studio.models
    if in_use:
        workspace.studio.select_model(entry)
    view.setFocus(Qt.FocusReason.TabFocusReason)
    if in_use:
        QTest.keyClick(view, Qt.Key.Key_Delete)
    else:
        choose(workspace, entry, "Move to Trash…")
    press(sheet_of(workspace, QMessageBox, qtbot), "Move to Trash")
    qtbot.waitUntil(lambda: models.entry(entry.folder) is None)
    workspace.main_window.activateWindow()  # as a window system does when the question is gone

    qtbot.waitUntil(view.hasFocus)
    assert view.currentIndex().row() == 0 and view.selectedIndexes() == [view.currentIndex()]
    assert shows_ring(view)


def test_the_starter_takes_over_whatever_else_is_installed(
    folder, home, workspace, entry, trash, qtbot
):
    """The list goes on to the next card by itself; that is nobody's choice of a model."""
    install("apple/another", VARIANT)
    models = workspace.studio.models
    models.refresh()
    qtbot.waitUntil(lambda: len(models.entries()) == 3 and not models.entries()[2].reading)
    first = models.entries()[1]
    workspace.studio.select_model(first)
    chosen = []
    workspace.studio.model_selected.connect(lambda entry: chosen.append(entry.name))
    choose(workspace, first, "Move to Trash…")
    press(sheet_of(workspace, QMessageBox, qtbot), "Move to Trash")
    qtbot.waitUntil(lambda: models.entry(first.folder) is None)
    qtbot.waitUntil(lambda: workspace.studio.model.starter)
    assert chosen == ["Sfumato Starter"]
    assert workspace.models_panel.list.currentIndex().row() == 0


def test_open_on_the_hub(workspace, entry, monkeypatch):
    opened = []
    monkeypatch.setattr(desktop, "open_page", opened.append)
    choose(workspace, entry, "Open on the Hub")
    assert opened == [f"https://huggingface.co/{REPO}"]


# -- leftovers ----------------------------------------------------------------------------------


@pytest.fixture
def leftovers(home, hub):
    """Half of a download that nobody knows of in this run yet, and something useless."""
    root = paths.models_dir()
    status = hub._start(REPO, "", "original/packages")
    hub.downloads = {"x": replace(status, id="x", state=DownloadState.PAUSED, interrupted=True)}
    hub.orphans = [
        Orphan(str(root / ".downloads/x"), 3_100_000_000, "apple/half", "x"),
        Orphan(str(root / "rubbish"), 20_000_000),
    ]
    return hub.orphans


def open_leftovers(workspace, qtbot):
    workspace.models_panel.leftovers_requested.emit()
    qtbot.waitUntil(lambda: workspace.models_desk.leftovers is not None)
    return workspace.models_desk.leftovers


def test_leftovers_are_offered_once_the_hub_is_looked_at(leftovers, workspace, qtbot):
    panel = workspace.models_panel
    assert not panel.leftovers.isVisible()
    click(panel.segments.buttons[1])
    click(panel.segments.buttons[0])
    qtbot.waitUntil(panel.leftovers.isVisible)
    assert panel.leftovers.text() == "Recover 3.12 GB of downloads…"


def test_leftovers_can_be_gone_on_with_or_deleted(leftovers, workspace, hub, qtbot):
    dialog = open_leftovers(workspace, qtbot)
    assert [row.name.whole_text() for row in dialog.rows] == ["apple/half", "rubbish"]
    half, rubbish = dialog.rows
    assert half.resume.isVisible() and not rubbish.resume.isVisible()
    click(half.resume)
    qtbot.waitUntil(lambda: hub.count("resume") == 1)
    assert dialog.rows == [rubbish]
    click(rubbish.remove)
    qtbot.waitUntil(lambda: not any(o.path.endswith("rubbish") for o in hub.orphans))


def test_deleting_is_asked_for_once_and_says_what_went_wrong(leftovers, workspace, hub, qtbot):
    hub.silent.add("remove_orphan")
    dialog = open_leftovers(workspace, qtbot)
    row = dialog.rows[1]
    click(row.remove)
    assert not row.remove.isEnabled() and row.remove.text() == "Deleting…"
    refusal = SfumatoError(ErrorKind.STORAGE, "“rubbish” cannot be deleted; look at its folder.")
    hub.refuse("remove_orphan", refusal)
    assert dialog.problem.isVisible() and dialog.problem.text() == refusal.message
    click(row.remove)
    assert not dialog.problem.isVisible()
    hub.orphans.pop()
    hub.answer("remove_orphan", None)
    assert len(dialog.rows) == 1


def test_what_is_being_deleted_stays_so_while_the_list_is_read_again(
    leftovers, workspace, hub, qtbot
):
    hub.silent |= {"remove_orphan", "cancel"}
    dialog = open_leftovers(workspace, qtbot)
    click(dialog.remove_all)
    dialog.set_orphans(list(hub.orphans))
    assert [row.remove.isEnabled() for row in dialog.rows] == [False, False]
    assert not dialog.remove_all.isEnabled()


def test_the_focus_goes_on_to_the_next_leftover(leftovers, workspace, hub, qtbot):
    """Never to the button that deletes all."""
    hub.orphans.append(Orphan("/models/more", 5_000_000))
    hub.silent.add("remove_orphan")
    dialog = open_leftovers(workspace, qtbot)
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.rows[1].remove.setFocus()
    QTest.keyClick(dialog.rows[1].remove, Qt.Key.Key_Space)
    assert dialog.rows[2].remove.hasFocus()
    dialog.set_orphans(list(hub.orphans))  # the list is read again meanwhile
    assert dialog.rows[2].remove.hasFocus()
    hub.answer("remove_orphan", None)
    assert [row.remove.hasFocus() for row in dialog.rows] == [False, True]
    QTest.keyClick(dialog.rows[1].remove, Qt.Key.Key_Space)
    assert dialog.rows[0].remove.hasFocus()
    QTest.keyClick(dialog.rows[0].remove, Qt.Key.Key_Space)
    assert dialog.close_button.hasFocus()


def test_all_leftovers_go_at_once(leftovers, workspace, hub, qtbot):
    dialog = open_leftovers(workspace, qtbot)
    click(dialog.remove_all)
    qtbot.waitUntil(lambda: hub.orphans == [] and dialog.rows == [])
    assert dialog.text.text() == "There is nothing left over."
    assert not workspace.models_panel.leftovers.isVisible()


def test_the_sheets_name_their_controls(leftovers, workspace, entry, hub, qtbot):
    dialog = open_leftovers(workspace, qtbot)
    for row in dialog.rows:
        for button in (row.resume, row.remove):
            assert row.name.whole_text() in button.accessibleName()
    dialog.reject()
    hub.silent.add("verify")
    choose(workspace, entry, "Verify Files…")
    sheet = sheet_of(workspace, VerifyDialog, qtbot)
    assert sheet.bar.accessibleName() and sheet.close_button.text()
    QApplication.processEvents()
    assert sheet.windowModality() == Qt.WindowModality.WindowModal
    sheet.reject()


def test_without_leftovers_that_is_said(workspace, qtbot):
    workspace.models_panel.leftovers_requested.emit()
    banner = workspace.canvas.banner
    qtbot.waitUntil(lambda: "Nothing is left over" in banner.statement.text())
    assert workspace.models_desk.leftovers is None


def test_checkpoints_kept_for_conversion_have_a_place_and_a_button(home, hub, workspace, qtbot):
    """They show without having to be rubbish, say what they are for, and can be deleted."""
    hub.orphans = [Orphan("/caches/ada--fog", 4_300_000_000, "ada/fog", checkpoint=True)]
    panel = workspace.models_panel
    click(panel.segments.buttons[1])
    click(panel.segments.buttons[0])
    qtbot.waitUntil(panel.leftovers.isVisible)
    assert panel.leftovers.text() == "Checkpoints kept for conversion · 4.30 GB…"
    dialog = open_leftovers(workspace, qtbot)
    assert "4.30 GB are checkpoints" in dialog.text.text()
    assert "never finished" not in dialog.text.text()
    (row,) = dialog.rows
    assert not row.resume.isVisible()
    facts = [one.whole_text() for one in row.findChildren(ElidedLabel)]
    assert facts == ["ada/fog", "4.30 GB · Checkpoint kept for conversion"]
    click(row.remove)
    qtbot.waitUntil(lambda: hub.orphans == [] and dialog.rows == [])
    assert dialog.text.text() == "There is nothing left over."
