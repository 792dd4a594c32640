"""The catalogue shows the Hub's results: in its order, filtered, paged, honest about failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QAbstractItemModelTester

from gui.coreml.model import Attention, Family
from gui.errors import ErrorKind, SfumatoError
from gui.hub.messages import SearchAnswer
from gui.hub.types import (
    DownloadState,
    DownloadStatus,
    Level,
    SearchPage,
    SearchQuery,
    Sort,
    Verdict,
)
from gui.state.hub.catalogue import PAGES_AT_ONCE, CatalogueRow, HubCatalogue
from gui.state.hub.catalogue_rows import catalogue_sentence
from tests.support.fake_hub import FakeHub, details, summary, variant

OFFLINE = SfumatoError(ErrorKind.NETWORK, "The Hub cannot be reached; check the connection.")


def many(count: int, **values: object) -> list:
    return [summary(f"ada/model-{k}", likes=count - k, **values) for k in range(count)]


@pytest.fixture
def make(qapp: QCoreApplication) -> Iterator[Callable[..., tuple[HubCatalogue, FakeHub]]]:
    made: list[HubCatalogue] = []

    def build(models: list | None = None) -> tuple[HubCatalogue, FakeHub]:
        hub = FakeHub(many(75) if models is None else models)
        catalogue = HubCatalogue(hub)
        made.append(catalogue)
        return catalogue, hub

    yield build
    for catalogue in made:
        catalogue.deleteLater()


def settle(catalogue: HubCatalogue, hub: FakeHub, seconds: float = 60.0) -> None:
    """Until nothing is asked any more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        QCoreApplication.processEvents()
        waiting = [a for a in hub.asked if a.open and a.do not in hub.silent]
        if not waiting and not catalogue._typing.isActive():
            return
    raise AssertionError("the catalogue does not come to rest")


def ids(catalogue: HubCatalogue) -> list[str]:
    return [rows(catalogue, k).summary.id for k in range(catalogue.rowCount())]


def rows(catalogue: HubCatalogue, number: int) -> CatalogueRow:
    return catalogue.index(number).data(Qt.ItemDataRole.UserRole)


def test_results_come_in_the_hubs_order_page_by_page(make):
    catalogue, hub = make()
    assert catalogue.state.phase == "idle"
    phases = []
    catalogue.state_changed.connect(lambda state: phases.append(state.phase))
    catalogue.set_query(SearchQuery(sort=Sort.LIKES))
    settle(catalogue, hub)
    assert phases[0] == "loading" and phases[-1] == "ready"
    assert ids(catalogue) == [model.id for model in hub.models[:30]]
    assert catalogue.state.more and catalogue.canFetchMore()
    for _ in range(5):  # as a view does that is scrolled to its end
        if catalogue.canFetchMore():
            catalogue.fetchMore()
        settle(catalogue, hub)
    assert ids(catalogue) == [model.id for model in hub.models]
    assert not catalogue.canFetchMore() and not catalogue.state.more
    assert hub.count("search") == 3
    assert catalogue.state.message == ""


def test_the_model_keeps_qts_promises(make):
    """By Qt's own checker, which also fetches more whenever it can."""
    catalogue, hub = make()
    mode = QAbstractItemModelTester.FailureReportingMode.Fatal
    QAbstractItemModelTester(catalogue, mode, catalogue)
    for query in (SearchQuery(), SearchQuery(text="model-7"), SearchQuery(fits=True)):
        catalogue.set_query(query)
        settle(catalogue, hub)
        catalogue.want(ids(catalogue)[:4])
        settle(catalogue, hub)
        assert catalogue.rowCount() == len([m for m in hub.models if query.text in m.id])


def test_a_page_is_not_fetched_twice_while_it_is_under_way(make):
    catalogue, hub = make()
    catalogue.refresh()
    settle(catalogue, hub)
    hub.silent.add("search")
    catalogue.fetchMore()
    assert not catalogue.canFetchMore() and catalogue.state.loading_more
    catalogue.fetchMore()
    assert hub.count("search") == 2


def test_a_result_that_two_pages_repeat_is_shown_once(make):
    catalogue, hub = make()
    hub.silent.add("search")
    catalogue.refresh()
    first, second = many(4)[:3], many(4)[2:]
    hub.answer("search", SearchAnswer(SearchPage(tuple(first), "next"), (True,) * 3))
    hub.answer("search", SearchAnswer(SearchPage(tuple(second)), (True,) * 2))
    assert ids(catalogue) == [f"ada/model-{k}" for k in range(4)]


def test_typing_searches_once_it_rests(make):
    catalogue, hub = make([*many(3), summary("apple/stable")])
    catalogue.refresh()
    settle(catalogue, hub)
    for text in ("s", "st", "sta"):
        catalogue.set_query(SearchQuery(text=text))
    assert hub.count("search") == 1
    settle(catalogue, hub)
    assert hub.count("search") == 2
    assert hub.asked[-1].arguments["query"].text == "sta"
    assert ids(catalogue) == ["apple/stable"]
    catalogue.set_query(SearchQuery(text="sta", author="ada"))  # no typing: at once
    assert hub.count("search") == 3
    settle(catalogue, hub)
    assert catalogue.state.phase == "empty" and catalogue.state.message


def test_the_answer_to_an_older_question_is_never_shown(make):
    catalogue, hub = make()
    hub.silent.add("search")
    catalogue.set_query(SearchQuery(author="old"))
    catalogue.set_query(SearchQuery(author="new"))
    old = next(a for a in hub.asked if a.arguments["query"].author == "old")
    assert old.forgotten
    hub.answer("search", SearchAnswer(SearchPage((summary("new/one"),)), (True,)))
    assert ids(catalogue) == ["new/one"]


def test_an_address_gives_that_repository_and_a_wrong_one_a_sentence(make):
    catalogue, hub = make()
    catalogue.set_query(SearchQuery(text="https://huggingface.co/ada/model-7"))
    settle(catalogue, hub)
    assert ids(catalogue) == ["ada/model-7"]
    assert catalogue.state.reference == "ada/model-7"
    catalogue.set_query(SearchQuery(text="https://huggingface.co/ada/gone"))
    settle(catalogue, hub)
    assert catalogue.rowCount() == 0
    assert catalogue.state.phase == "error"
    assert catalogue.state.error.kind is ErrorKind.NOT_FOUND
    assert "ada/gone" in catalogue.state.message


# -- filters ----------------------------------------------------------------------------------


def test_a_filter_on_the_listing_needs_no_file_list(make):
    models = many(40)
    models[3] = replace(models[3], family=Family.SDXL)
    models[37] = replace(models[37], family=Family.SDXL)
    catalogue, hub = make(models)
    catalogue.set_query(SearchQuery(families=(Family.SDXL,)))
    settle(catalogue, hub)
    assert ids(catalogue) == ["ada/model-3", "ada/model-37"]  # looked on by itself
    assert hub.count("details") == 0
    assert catalogue.state.message == "Looked through 40 models, 2 fit."


def test_a_filter_on_files_holds_results_back_until_they_were_read(make):
    catalogue, hub = make(many(12))
    no = replace(variant("a"), verdict=Verdict(Level.NO, ("Too large.",)))
    for k in range(12):
        if k % 3:
            hub.details[f"ada/model-{k}"] = replace(details(hub.models[k]), variants=(no,))
    hub.silent.add("details")
    catalogue.set_query(SearchQuery(fits=True))
    settle(catalogue, hub)
    assert catalogue.rowCount() == 0 and catalogue.state.phase == "loading"
    assert catalogue.state.checking == 12
    asked = hub.open_questions("details")
    assert [a.arguments["repo"] for a in asked] == [f"ada/model-{k}" for k in range(6)]
    # Answered out of order: the order of the rows stays the Hub's.
    for question in reversed(asked):
        hub._answer_by_itself(question)
    assert ids(catalogue) == ["ada/model-0", "ada/model-3"]
    hub.silent.clear()
    for question in hub.open_questions("details"):
        hub._answer_by_itself(question)
    settle(catalogue, hub)
    assert ids(catalogue) == [f"ada/model-{k}" for k in (0, 3, 6, 9)]
    assert catalogue.state.checking == 0
    assert catalogue.state.message == "Looked through 12 models, 4 fit."
    assert all(rows(catalogue, k).details is not None for k in range(4))


def test_what_cannot_be_read_is_counted_and_not_shown(make):
    catalogue, hub = make(many(3))
    hub.errors["details"] = SfumatoError(ErrorKind.ACCESS, "The terms must be accepted first.")
    catalogue.set_query(SearchQuery(attentions=(Attention.ORIGINAL,)))
    settle(catalogue, hub)
    assert catalogue.state.phase == "empty"
    assert catalogue.state.message == "Looked through 3 models, none fits; 3 could not be read."


def test_a_hopeless_filter_stops_looking_after_a_while(make):
    catalogue, hub = make(many(30 * PAGES_AT_ONCE + 60))
    catalogue.set_query(SearchQuery(licence="nobody's"))
    settle(catalogue, hub)
    assert hub.count("search") == PAGES_AT_ONCE
    assert catalogue.state.phase == "empty" and catalogue.state.more
    assert catalogue.state.message == f"Looked through {30 * PAGES_AT_ONCE} models, none fits."
    assert catalogue.state.resting and not catalogue.canFetchMore()  # whatever the view asks for
    catalogue.look_further()
    assert not catalogue.state.resting
    settle(catalogue, hub)
    assert catalogue.state.examined == len(hub.models) and not catalogue.state.more


# -- failures ---------------------------------------------------------------------------------


def test_without_connection_the_remembered_results_are_shown_with_their_date(make):
    catalogue, hub = make(many(4))
    hub.stale = "2019-05-03T09:00:00+00:00"
    catalogue.refresh()
    settle(catalogue, hub)
    assert catalogue.state.phase == "offline" and catalogue.rowCount() == 4
    assert catalogue.state.message == (
        "The Hub cannot be reached. These are the results of 3 May 2019."
    )
    hub.stale = ""
    catalogue.retry()
    settle(catalogue, hub)
    assert catalogue.state.phase == "ready" and catalogue.state.message == ""


def test_without_connection_and_memory_the_error_is_the_message(make):
    catalogue, hub = make()
    hub.errors["search"] = OFFLINE
    catalogue.refresh()
    settle(catalogue, hub)
    assert (catalogue.state.phase, catalogue.state.error) == ("offline", OFFLINE)
    del hub.errors["search"]
    catalogue.retry()
    settle(catalogue, hub)
    assert catalogue.state.phase == "ready" and catalogue.rowCount() == 30


def test_a_page_that_fails_leaves_the_rows_and_can_be_tried_again(make):
    catalogue, hub = make()
    catalogue.refresh()
    settle(catalogue, hub)
    hub.errors["search"] = OFFLINE
    catalogue.fetchMore()
    settle(catalogue, hub)
    assert catalogue.state.phase == "error" and catalogue.rowCount() == 30
    assert not catalogue.canFetchMore()  # or the view would ask without end
    del hub.errors["search"]
    catalogue.retry()
    settle(catalogue, hub)
    assert catalogue.state.phase == "ready" and catalogue.rowCount() == 60


def test_a_connection_that_comes_back_ends_the_talk_of_none(make):
    catalogue, hub = make()
    hub.stale = "2019-05-03T09:00:00+00:00"
    catalogue.refresh()
    settle(catalogue, hub)
    assert catalogue.state.phase == "offline"
    hub.stale = ""
    catalogue.fetchMore()
    settle(catalogue, hub)
    assert (catalogue.state.phase, catalogue.state.message) == ("ready", "")
    assert catalogue.rowCount() == 60


# -- what a row shows -------------------------------------------------------------------------


def test_details_and_pictures_come_for_visible_rows_only(make):
    catalogue, hub = make()
    hub.pictures["ada/model-1"] = "/pictures/1.jpg"
    catalogue.refresh()
    settle(catalogue, hub)
    assert hub.count("details") == hub.count("picture") == 0
    changed = []
    catalogue.row_changed.connect(changed.append)
    catalogue.want([f"ada/model-{k}" for k in range(3)])
    settle(catalogue, hub)
    assert hub.count("details") == hub.count("picture") == 3
    assert rows(catalogue, 1).picture == "/pictures/1.jpg"
    assert rows(catalogue, 2).details is not None and rows(catalogue, 3).details is None
    assert set(changed) == {f"ada/model-{k}" for k in range(3)}
    catalogue.want([f"ada/model-{k}" for k in range(3)])  # scrolled away and back
    settle(catalogue, hub)
    assert hub.count("details") == hub.count("picture") == 3


def test_what_was_scrolled_past_is_let_go(make):
    catalogue, hub = make()
    catalogue.refresh()
    settle(catalogue, hub)
    hub.silent |= {"details", "picture"}
    catalogue.want(["ada/model-0", "ada/model-1"])
    catalogue.want(["ada/model-1", "ada/model-2"])
    open_ = {a.arguments["repo"] for a in hub.open_questions("details")}
    assert open_ == {"ada/model-1", "ada/model-2"}
    assert len(hub.open_questions("picture")) == 2


def test_a_row_says_why_its_details_cannot_be_had(make):
    catalogue, hub = make()
    catalogue.refresh()
    settle(catalogue, hub)
    hub.errors["details"] = SfumatoError(ErrorKind.NOT_FOUND, "The model is gone.")
    catalogue.want(["ada/model-0"])
    settle(catalogue, hub)
    assert rows(catalogue, 0).problem == "The model is gone."
    catalogue.want([])
    catalogue.want(["ada/model-0"])
    assert hub.count("details") == 1  # asking again would not help


def test_what_was_found_out_survives_another_search(make):
    catalogue, hub = make()
    hub.pictures["ada/model-0"] = "/pictures/0.jpg"
    catalogue.refresh()
    settle(catalogue, hub)
    catalogue.want(["ada/model-0"])
    settle(catalogue, hub)
    catalogue.set_query(SearchQuery(author="ada"))
    settle(catalogue, hub)
    assert rows(catalogue, 0).details is not None and rows(catalogue, 0).picture
    hub.models[0] = replace(hub.models[0], revision="b" * 40)  # the author has changed it
    catalogue.refresh()
    settle(catalogue, hub)
    assert rows(catalogue, 0).details is None


def test_what_was_refused_is_asked_for_again_on_request(make):
    catalogue, hub = make()
    catalogue.refresh()
    settle(catalogue, hub)
    hub.errors["details"] = SfumatoError(ErrorKind.ACCESS, "Sign in first.")
    catalogue.want(["ada/model-0"])
    settle(catalogue, hub)
    assert rows(catalogue, 0).problem
    hub.errors.clear()
    catalogue.forget_problems()
    settle(catalogue, hub)
    assert not rows(catalogue, 0).problem and rows(catalogue, 0).details is not None


def test_installed_and_downloading_models_are_marked(make):
    catalogue, hub = make()
    catalogue.set_installed({"ada/model-2", "ada/model-40"})
    catalogue.refresh()
    settle(catalogue, hub)
    assert [k for k in range(30) if rows(catalogue, k).installed] == [2]
    catalogue.set_installed({"ada/model-3"})
    assert [k for k in range(30) if rows(catalogue, k).installed] == [3]
    status = DownloadStatus(
        "d", "ada/model-5", "x", "Five", "a", DownloadState.FETCHING, 1_000_000, 500_000
    )
    catalogue.set_download(status, False)
    assert rows(catalogue, 5).download == status
    sentence = catalogue.index(5).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "500 KB of 1.0 MB" in sentence
    catalogue.set_download(replace(status, state=DownloadState.DONE), True)
    assert rows(catalogue, 5).download is None


def test_a_row_reads_as_one_sentence_after_another(make):
    model = summary("apple/fog", likes=1234, downloads=5, gated="auto", updated="2019-05-03")
    one = catalogue_sentence(CatalogueRow(replace(model, likes=1, downloads=1)))
    assert "1 like, 1 download." in one
    catalogue, hub = make([model])
    catalogue.set_installed({"apple/fog"})
    catalogue.refresh()
    settle(catalogue, hub)
    catalogue.want(["apple/fog"])
    settle(catalogue, hub)
    assert catalogue.index(0).data(Qt.ItemDataRole.AccessibleTextRole) == (
        "fog by apple. Stable Diffusion 1. 1.60 GB to download. 1,234 likes, 5 downloads. "
        "Updated 3 May 2019. Its terms must be accepted first. Installed. "
        "Runs well on this computer."
    )


def test_ten_thousand_results_are_cheap(make):
    """Against the process's own clock, generously: every step that is not constant per row would be
    far over."""
    hub = FakeHub()
    catalogue = HubCatalogue(hub)
    hub.silent.add("search")
    catalogue.refresh()
    models = many(10_000)
    for start in range(0, 10_000, 100):
        following = str(start + 100) if start < 9_900 else ""
        page = SearchPage(tuple(models[start : start + 100]), following)
        hub.answer("search", SearchAnswer(page, (True,) * 100))
        if following:
            catalogue.fetchMore()
    assert catalogue.rowCount() == 10_000
    roles = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.UserRole)
    started = time.process_time()
    for k in range(9_000, 9_100):
        for role in roles:
            assert catalogue.index(k).data(role)
    catalogue.set_installed({f"ada/model-{k}" for k in range(0, 10_000, 100)})
    assert catalogue.row_of("ada/model-9999") == 9_999
    assert time.process_time() - started < 0.5
