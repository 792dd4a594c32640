"""The Hub's parts joined: details, installing, verifying, updating, the account, and the studio."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from gui import paths
from gui.coreml.model import Family
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import Account, DownloadState, DownloadStatus, FileProblem, Orphan, SearchQuery
from gui.state import desktop, models
from gui.state.hub.state import HubState, unfinished_downloads
from gui.state.model_entry import ModelEntry
from gui.state.settings import Settings
from gui.state.studio import Studio
from tests.support.fake_hub import FakeHub, details, summary
from tests.support.fake_queue import FakeQueue
from tests.ui.conftest import make_info

VARIANT = "split_einsum/compiled"
WAIT = 60_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.setattr(models, "read_entry", read_by_sidecar)
    return tmp_path


def read_by_sidecar(entry: ModelEntry, _reader: object = None) -> ModelEntry:
    """Stands where the inspector stands: any folder is a sound model."""
    from gui.coreml import sidecar

    found = sidecar.read(entry.folder) if entry.folder.is_dir() and not entry.starter else None
    return dataclasses.replace(entry, info=make_info(entry.folder), sidecar=found)


def install(repo: str, variant: str = VARIANT, revision: str = "a" * 40) -> Path:
    """What a finished download leaves."""
    name = variant.replace("/", "--")
    folder = paths.models_dir() / repo.replace("/", "--") / name
    (folder / "Unet.mlpackage").mkdir(parents=True)
    hub = {"variant": variant, "title": "Split einsum · compiled"}
    note = Sidecar(
        Family.SD1, name=repo, source_repo=repo, source_revision=revision, extra={"hub": hub}
    )
    (folder / "sfumato.json").write_text(json.dumps(note.to_json()))
    return folder


@pytest.fixture
def hub(qapp: QCoreApplication) -> FakeHub:
    return FakeHub([summary("ada/fog"), summary("ada/mist")])


@pytest.fixture
def state(hub: FakeHub) -> Iterator[HubState]:
    state = HubState(hub)
    yield state
    state.close()


@pytest.fixture
def open_studio(hub: FakeHub, qtbot: QtBot) -> Iterator[Callable[[], Studio]]:
    opened: list[Studio] = []

    def open_() -> Studio:
        studio = Studio(Settings(), FakeQueue(), hub=hub)
        opened.append(studio)
        with qtbot.waitSignal(studio.models.refreshed, timeout=WAIT):
            studio.start()
        return studio

    yield open_
    for studio in opened:
        studio.close()


class Heard:
    def __init__(self, signal) -> None:
        self.all: list[tuple] = []
        signal.connect(lambda *values: self.all.append(values))


def turn() -> None:
    for _ in range(3):
        QCoreApplication.processEvents()


# -- repositories -----------------------------------------------------------------------------


def test_details_are_read_once_and_shown_in_the_row_too(state: HubState, hub: FakeHub) -> None:
    changed = Heard(state.details_changed)
    state.catalogue.refresh()
    turn()
    state.want_details("ada/fog")
    state.want_details("ada/fog")
    turn()
    assert changed.all == [("ada/fog",)] and hub.count("details") == 1
    assert hub.asked[-1].arguments["probe"] is True
    assert state.details("ada/fog") == state.catalogue.row("ada/fog").details  # type: ignore[union-attr]
    state.want_details("ada/fog")
    assert len(changed.all) == 2 and hub.count("details") == 1
    state.want_details("ada/fog", fresh=True)
    turn()
    assert hub.count("details") == 2


def test_what_a_row_knows_roughly_is_read_properly_when_it_is_opened(
    state: HubState, hub: FakeHub
) -> None:
    state.catalogue.refresh()
    turn()
    state.catalogue.want(["ada/fog"])
    turn()
    rough = state.details("ada/fog")
    assert rough is not None and not rough.probed
    state.want_details("ada/fog")
    turn()
    found = state.details("ada/fog")
    assert found is not None and found.probed


def test_a_repository_that_is_gone_says_so(state: HubState) -> None:
    failed = Heard(state.details_failed)
    state.want_details("ada/gone")
    turn()
    [(repo, error)] = failed.all
    assert repo == "ada/gone" and error.kind is ErrorKind.NOT_FOUND


def test_the_page_of_a_repository(state: HubState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert state.page_url("ada/fog") == "https://huggingface.co/ada/fog"
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.test/")
    assert state.page_url("ada/räume") == "http://mirror.test/ada/r%C3%A4ume"


# -- the account ------------------------------------------------------------------------------


def test_signing_in_and_out(state: HubState, hub: FakeHub) -> None:
    hub.accounts["hf_good"] = Account(True, "ada", "keychain")
    failed = Heard(state.account.failed)
    state.account.sign_in(" hf_bad\n")
    assert state.account.busy
    turn()
    assert [error.kind for (error,) in failed.all] == [ErrorKind.ACCESS]
    assert not state.account.account.signed_in and not state.account.busy
    state.account.sign_in(" hf_good\n")
    turn()
    assert state.account.account.name == "ada"
    state.account.sign_out()
    turn()
    assert not state.account.account.signed_in


def test_signing_in_does_not_wait_for_the_question_who_is_signed_in(
    state: HubState, hub: FakeHub
) -> None:
    hub.accounts["hf_good"] = Account(True, "ada", "keychain")
    hub.silent.add("account")
    state.account.refresh()
    state.account.refresh()
    assert hub.count("account") == 1
    state.account.sign_in("hf_good")
    turn()
    assert state.account.account.name == "ada" and not state.account.busy
    assert hub.open_questions("account") == []


def test_signing_in_asks_again_for_what_was_refused(state: HubState, hub: FakeHub) -> None:
    hub.accounts["hf_good"] = Account(True, "ada", "keychain")
    state.account.refresh()
    state.catalogue.refresh()
    turn()
    hub.errors["details"] = SfumatoError(ErrorKind.ACCESS, "Sign in first.")
    state.catalogue.want(["ada/fog"])
    turn()
    assert state.catalogue.row("ada/fog").problem  # type: ignore[union-attr]
    hub.errors.clear()
    state.account.sign_in("hf_good")
    turn()
    turn()
    row = state.catalogue.row("ada/fog")
    assert row is not None and row.details is not None and not row.problem


# -- installed models -------------------------------------------------------------------------


def test_verifying_says_how_far_it_is_and_what_it_found(state: HubState, hub: FakeHub) -> None:
    progress, verified = Heard(state.verify_progress), Heard(state.verified)
    problem = FileProblem("Unet.mlpackage/weight.bin", "hash")
    hub.problems["/m"] = [problem]
    hub.silent.add("verify")
    state.verify("/m")
    state.verify("/m")
    assert hub.count("verify") == 1 and state.is_verifying("/m")
    hub.verify_progress("/m", 0.5)
    hub.answer("verify", [problem])
    assert progress.all == [("/m", 0.5)] and verified.all == [("/m", [problem])]
    assert not state.is_verifying("/m")


def test_verifying_can_be_stopped(state: HubState, hub: FakeHub) -> None:
    progress = Heard(state.verify_progress)
    hub.silent.add("verify")
    state.verify("/m")
    state.stop_verifying("/m")
    assert hub.asked[-1].forgotten
    hub.verify_progress("/m", 0.7)
    assert progress.all == []


def test_a_repair_is_a_download_that_installs_nothing_new(state: HubState, hub: FakeHub) -> None:
    repaired, installed = Heard(state.repaired), Heard(state.installed)
    hub.silent.add("repair")
    state.repair("/m")
    status = DownloadStatus("r1", "ada/fog", VARIANT, "Fog", "a", DownloadState.QUEUED, 10)
    hub.answer("repair", hub.move(status))
    hub.progress("r1", 0.5)
    assert state.downloads.rowCount() == 1 and repaired.all == []
    hub.finish("r1", "/m")
    assert repaired.all == [("/m",)] and installed.all == []


def asked_to_repair(state: HubState, hub: FakeHub) -> DownloadStatus:
    hub.silent.add("repair")
    state.repair("/m")
    status = DownloadStatus("r1", "ada/fog", VARIANT, "Fog", "a", DownloadState.QUEUED, 10)
    return hub.move(status)


def test_a_repair_that_is_over_before_the_answer_comes_is_a_repair(
    state: HubState, hub: FakeHub
) -> None:
    repaired = Heard(state.repaired)
    status = asked_to_repair(state, hub)
    hub.finish("r1", "/m")
    hub.answer("repair", status)
    assert repaired.all == [("/m",)]


@pytest.mark.parametrize("answered_first", [True, False])
def test_a_repair_that_stops_says_so_and_may_still_go_on(
    state: HubState, hub: FakeHub, answered_first: bool
) -> None:
    repaired, failed = Heard(state.repaired), Heard(state.verify_failed)
    status = asked_to_repair(state, hub)
    full = SfumatoError(ErrorKind.STORAGE, "The disk is full.")
    if answered_first:
        hub.answer("repair", status)
        hub.fail_download("r1", full)
    else:
        hub.answer("repair", hub.fail_download("r1", full))
    assert failed.all == [("/m", full)]
    hub.progress("r1", 0.5)
    hub.finish("r1", "/m")
    assert repaired.all == [("/m",)]


@pytest.mark.parametrize("answered_first", [True, False])
def test_a_repair_that_is_cancelled_is_no_repair(
    state: HubState, hub: FakeHub, answered_first: bool
) -> None:
    repaired, failed = Heard(state.repaired), Heard(state.verify_failed)
    status = asked_to_repair(state, hub)
    if answered_first:
        hub.answer("repair", status)
    hub._cancel("r1")
    if not answered_first:
        hub.answer("repair", status)
    assert repaired.all == []
    [(folder, error)] = failed.all
    assert folder == "/m" and "cancelled" in error.message


def test_nothing_to_repair_is_repaired_at_once(state: HubState) -> None:
    repaired = Heard(state.repaired)
    state.repair("/m")
    turn()
    assert repaired.all == [("/m",)]


def test_leftovers_are_listed_and_removed(state: HubState, hub: FakeHub) -> None:
    found, removed = Heard(state.orphans_found), Heard(state.orphan_removed)
    hub.orphans = [Orphan("/models/.downloads/x", 12, "ada/fog")]
    state.want_orphans()
    turn()
    assert found.all == [(hub.orphans,)]
    state.remove_orphan(hub.orphans[0])
    turn()
    assert removed.all == [("/models/.downloads/x",)] and hub.orphans == []


# -- with the studio --------------------------------------------------------------------------


def fetch(studio: Studio, hub: FakeHub, qtbot: QtBot, repo: str, use: bool = False) -> Path:
    """A download from the press of the button to the model in the library."""
    studio.hub.downloads.start(repo, VARIANT, use=use)
    turn()
    [download] = [s.id for s in studio.hub.downloads.statuses() if s.repo == repo]
    folder = install(repo)
    with qtbot.waitSignal(studio.models.refreshed, timeout=WAIT):
        hub.finish(download, str(folder))
    return folder


def test_a_newcomers_first_model_is_used_at_once(open_studio, hub: FakeHub, qtbot: QtBot) -> None:
    studio = open_studio()
    notices = Heard(studio.notice)
    assert studio.model.starter
    studio.hub.catalogue.set_query(SearchQuery())
    turn()
    folder = fetch(studio, hub, qtbot, "ada/fog")
    assert studio.model.folder == folder and notices.all == [
        ("“ada/fog” is ready; type a prompt to try it.",)
    ]
    entry = studio.model
    assert (entry.repo, entry.variant, entry.revision) == ("ada/fog", VARIANT, "a" * 40)
    assert studio.hub.catalogue.row("ada/fog").installed
    assert studio.hub.installed_folder("ada/fog", VARIANT) == str(folder)
    assert studio.models.disk_use == entry.bytes > 0 and studio.models.installed_count == 1


def test_a_second_model_is_used_only_if_that_was_asked_for(
    open_studio, hub: FakeHub, qtbot: QtBot
) -> None:
    studio = open_studio()
    first = fetch(studio, hub, qtbot, "ada/fog")
    second = fetch(studio, hub, qtbot, "ada/mist")
    assert studio.model.folder == first
    hub.models.append(summary("ada/haze"))
    third = fetch(studio, hub, qtbot, "ada/haze", use=True)
    assert studio.model.folder == third != second


def test_an_update_is_no_new_model(open_studio, hub: FakeHub, qtbot: QtBot) -> None:
    folder = install("ada/fog")
    studio = open_studio()
    notices = Heard(studio.notice)
    studio.hub.downloads.start("ada/fog", VARIANT)
    turn()
    [download] = [s.id for s in studio.hub.downloads.statuses()]
    with qtbot.waitSignal(studio.models.refreshed, timeout=WAIT):
        hub.finish(download, str(folder))
    assert notices.all == [] and studio.model.starter


def test_a_checkpoint_to_convert_is_no_model(state: HubState, hub: FakeHub) -> None:
    installed, changed = Heard(state.installed), Heard(state.installed_changed)
    state.downloads.start_source("ada/fog")
    turn()
    [download] = [s.id for s in state.downloads.statuses()]
    hub.finish(download, str(paths.cache_dir() / "Sources" / "ada--fog"))
    assert installed.all == changed.all == []


def test_updates_are_marked_and_fetched_at_their_revision(
    open_studio, hub: FakeHub, qtbot: QtBot
) -> None:
    folder = install("ada/fog")
    studio = open_studio()
    hub.updates = {str(folder): "b" * 40}
    studio.hub.look_for_updates()
    turn()
    assert studio.models.entry(folder).update == "b" * 40
    studio.hub.update(str(folder))
    turn()
    asked = next(a for a in hub.asked if a.do == "start")
    assert asked.arguments == {"repo": "ada/fog", "variant": VARIANT, "revision": "b" * 40}


def test_a_model_goes_to_the_trash_and_is_no_longer_installed(
    open_studio, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    folder = install("ada/fog")
    studio = open_studio()
    studio.select_model(studio.models.entry(folder))
    trash = home / "trash"
    monkeypatch.setattr(desktop, "move_to_trash", lambda path: move_aside(path, trash))
    with qtbot.waitSignal(studio.models.trashed, timeout=WAIT):
        studio.models.move_to_trash(folder)
    assert not folder.exists() and not folder.parent.exists()
    assert [child.name for child in trash.iterdir()] == [folder.name], "by its repository's name"
    assert studio.model.starter and studio.models.entry(folder) is None
    assert studio.hub.installed_folder("ada/fog", VARIANT) == ""
    studio.models.move_to_trash(studio.model.folder)  # never the starter
    assert studio.model.folder.is_dir()


def test_another_variant_stays_where_it_is(
    open_studio, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    folder, other = install("ada/fog"), install("ada/fog", "original/packages")
    studio = open_studio()
    trash = home / "trash"
    monkeypatch.setattr(desktop, "move_to_trash", lambda path: move_aside(path, trash))
    with qtbot.waitSignal(studio.models.trashed, timeout=WAIT):
        studio.models.move_to_trash(folder)
    assert not folder.exists() and other.is_dir() and (trash / "Unet.mlpackage").is_dir()
    assert studio.models.entry(other) is not None


def move_aside(path: str, trash: Path) -> None:
    Path(path).rename(trash)


def test_a_model_that_will_not_go_to_the_trash_stays(
    open_studio, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = install("ada/fog")
    studio = open_studio()
    refusal = SfumatoError(ErrorKind.STORAGE, "It could not be moved to the Trash.")

    def refuse(_path: str) -> str:
        raise refusal

    monkeypatch.setattr(desktop, "move_to_trash", refuse)
    with qtbot.waitSignal(studio.error_raised, timeout=WAIT) as raised:
        studio.models.move_to_trash(folder)
    assert raised.args == [refusal] and studio.models.entry(folder) is not None


def test_the_hub_process_is_not_started_with_the_app(open_studio, hub: FakeHub) -> None:
    open_studio()
    assert hub.asked == []


def test_unless_an_earlier_run_left_a_download(open_studio, hub: FakeHub) -> None:
    plan = paths.models_dir() / ".downloads" / "d1" / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text("{}")
    assert unfinished_downloads()
    hub.downloads["d1"] = DownloadStatus(
        "d1", "ada/fog", VARIANT, "Fog", "a", DownloadState.PAUSED, 10, 4, interrupted=True
    )
    studio = open_studio()
    turn()
    assert [s.id for s in studio.hub.downloads.interrupted()] == ["d1"]
    assert studio.models.installed_count == 0  # half a model is none


def test_a_hub_that_keeps_dying_is_told_of_once(open_studio, hub: FakeHub) -> None:
    studio = open_studio()
    raised = Heard(studio.error_raised)
    error = SfumatoError(ErrorKind.ENGINE, "The connection to the Hub keeps failing.")
    hub.lost.emit(error, False)
    assert raised.all == []
    hub.lost.emit(error, True)
    assert raised.all == [(error,)]


def test_details_without_any_variant_can_be_shown(state: HubState, hub: FakeHub) -> None:
    model = hub.models[0]
    hub.details[model.id] = details(model, variants=(), notes=("Only PyTorch weights.",))
    state.want_details(model.id)
    turn()
    found = state.details(model.id)
    assert found is not None and found.recommended is None
