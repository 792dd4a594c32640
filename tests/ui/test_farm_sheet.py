"""“Other Macs”, with what the farm's process would say given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox, QPushButton

from gui.errors import ErrorKind, SfumatoError
from gui.farm.config import BRINGS
from gui.farm.messages import (
    AnswerOffer,
    FarmPreview,
    FarmTold,
    GoOn,
    InviteMac,
    JoinFarm,
    LeaveFarm,
    RemoveMac,
    SetBrings,
    StartFarm,
    StopFarm,
)
from gui.farm.wire import Drawn, Offer, Seat, State, Unit
from gui.process.messages import Event
from gui.state.farm import Farm
from gui.ui.farm.sheet import FarmSheet


class Process(QObject):
    """Takes what is asked, and answers when it is told to."""

    event_received = Signal(Event)
    lost = Signal(SfumatoError, bool)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Any, Any, Any]] = []

    def ask(self, question: Any, on_result: Any = None, on_error: Any = None) -> int:
        self.asked.append((question, on_result, on_error))
        return len(self.asked)

    def forget(self, request: int) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def sheet(qtbot: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    process = Process()
    farm = Farm(process)
    made = FarmSheet(farm)
    qtbot.addWidget(made)
    made.show()
    yield made, process
    farm.close()


def told(process: Process, *seats: Seat, offers: tuple[Offer, ...] = (), **rest: Any) -> None:
    state = State("Studio", seats, offers, rest.pop("waiting", 0), rest.pop("remarks", ()))
    process.event_received.emit(FarmTold(True, "Studio", "1", linked=True, state=state, **rest))


def seat(id_: str, name: str, state: str = "idle", **rest: Any) -> Seat:
    return Seat(id_, name, "macOS", state != "away", True, state, ("SD",), **rest)


def test_a_farm_is_started_with_the_name_that_is_given(sheet: Any, qtbot: Any) -> None:
    shown, process = sheet
    assert shown.outside.isVisible()
    assert not shown.join.isEnabled()
    shown.name.setText("Attic")
    QTest.mouseClick(shown.start, Qt.MouseButton.LeftButton)
    # The first question makes it listen, whatever it is.
    assert process.asked[0][0] == StartFarm("Attic", True)
    assert not shown.start.isEnabled()
    process.asked[0][1](None)
    assert shown.start.isEnabled()


def test_a_code_is_pasted_and_what_is_wrong_with_it_is_said_there(sheet: Any) -> None:
    shown, process = sheet
    shown.code.setPlainText("sfumato-farm-x")
    QTest.mouseClick(shown.join, Qt.MouseButton.LeftButton)
    question, _, on_error = process.asked[0]
    assert question == JoinFarm("sfumato-farm-x", shown.name.text(), True)
    on_error(SfumatoError(ErrorKind.BAD_REQUEST, "This is no join code; copy the whole line."))
    assert shown.problem.text() == "This is no join code; copy the whole line."
    assert shown.problem.isVisible()
    assert shown.join.isEnabled()


def in_farm(shown: FarmSheet, process: Process) -> None:
    shown._farm.invite()  # any question: it listens from then on
    process.asked.clear()
    told(process, seat("2", "Mini"), seat("1", "Own"))


def test_every_mac_is_seen_with_what_it_does(sheet: Any) -> None:
    shown, process = sheet
    in_farm(shown, process)
    assert shown.inside.isVisible()
    assert not shown.outside.isVisible()
    unit = Unit("job", 0)
    busy = seat("2", "<b>Mini</b>", "drawing", unit=unit, prompt="a\nfox", step=3, steps=20,
                minutely=2.5)  # fmt: skip
    told(process, busy, seat("1", "Own"), seat("3", "Old", "away"), waiting=3)
    process.event_received.emit(
        FarmPreview("2", Drawn(unit, "drawing", 3, 20, 0.1, 2, 2, bytes(12)))
    )
    names = [row.accessibleName() for row in shown._rows.values()]
    assert any("Step 3 of 20" in name and "2.5 a minute" in name for name in names)
    assert "3 pictures in line" in shown.where.text()
    assert shown._rows["2"].tile.image is not None
    assert shown._rows["3"].doing.text() == "Away"
    # It draws another one now, of which nothing has been seen.
    told(process, seat("2", "Mini", "drawing", unit=Unit("job", 1)), seat("1", "Own"))
    assert shown._rows["2"].tile.image is None
    assert "3" not in shown._rows


def test_a_missing_model_is_brought_by_a_persons_word_alone(sheet: Any) -> None:
    shown, process = sheet
    in_farm(shown, process)
    offer = Offer("2", "Mini", "hash", "Dreamshaper", 2_000_000_000, 3, "1", "")
    told(process, seat("1", "Own"), seat("2", "Mini"), offers=(offer,))
    (row,) = shown._offers.values()
    assert "Mini lacks “Dreamshaper” (2.00 GB)" in row.told.text()
    assert not row.copy.isHidden()
    assert row.fetch.isHidden()
    assert process.asked == []
    QTest.mouseClick(row.copy, Qt.MouseButton.LeftButton)
    assert [asked[0] for asked in process.asked] == [AnswerOffer("2", "hash", "copy")]
    under_way = Offer(
        "2", "Mini", "hash", "Dreamshaper", 2_000_000_000, 3, "1", "", "copying", 10**9
    )
    told(process, seat("1", "Own"), seat("2", "Mini"), offers=(under_way,))
    assert "on its way to Mini" in row.told.text()
    assert row.copy.isHidden()


def test_a_code_for_another_mac_is_shown_and_copied(sheet: Any, qapp: Any) -> None:
    shown, process = sheet
    in_farm(shown, process)
    assert not shown.given.isVisible()
    QTest.mouseClick(shown.add, Qt.MouseButton.LeftButton)
    question, on_result, _ = process.asked[0]
    assert question == InviteMac()
    on_result("sfumato-farm-abc")
    assert shown.given.toPlainText() == "sfumato-farm-abc"
    QTest.mouseClick(shown.copy_code, Qt.MouseButton.LeftButton)
    assert qapp.clipboard().text() == "sfumato-farm-abc"


def test_leaving_is_asked_for_first(sheet: Any) -> None:
    shown, process = sheet
    in_farm(shown, process)
    QTest.mouseClick(shown.leave, Qt.MouseButton.LeftButton)
    assert process.asked == []
    (box,) = shown.findChildren(QMessageBox)
    yes = next(b for b in box.findChildren(QPushButton) if b.text() == "Leave")
    QTest.mouseClick(yes, Qt.MouseButton.LeftButton)
    assert [asked[0] for asked in process.asked] == [LeaveFarm()]


def test_another_mac_is_removed_after_a_question_where_the_farm_was_started(sheet: Any) -> None:
    shown, process = sheet
    in_farm(shown, process)
    assert all(row.remove.isHidden() for row in shown._rows.values())
    told(process, seat("1", "Own"), seat("2", "<i>Mini</i>"), starts=True)
    assert shown._rows["1"].remove.isHidden()
    QTest.mouseClick(shown._rows["2"].remove, Qt.MouseButton.LeftButton)
    assert process.asked == []
    (box,) = shown.findChildren(QMessageBox)
    yes = next(b for b in box.findChildren(QPushButton) if b.text() == "Remove")
    QTest.mouseClick(yes, Qt.MouseButton.LeftButton)
    assert [asked[0] for asked in process.asked] == [RemoveMac("2")]


def test_the_farm_is_stopped_here_and_that_is_taken_back(sheet: Any) -> None:
    shown, process = sheet
    in_farm(shown, process)
    QTest.mouseClick(shown.stop, Qt.MouseButton.LeftButton)
    process.asked[0][1](None)
    process.event_received.emit(FarmTold(True, "Studio", "1", stopped=True))
    assert "Stopped on this Mac, which makes its own queue by itself" in shown.where.text()
    assert not shown.add.isEnabled()
    assert shown.stop.text() == "Go On"
    QTest.mouseClick(shown.stop, Qt.MouseButton.LeftButton)
    assert [asked[0] for asked in process.asked] == [StopFarm(), GoOn()]


def test_what_is_missing_may_be_brought_without_asking(sheet: Any) -> None:
    shown, process = sheet
    in_farm(shown, process)
    assert not shown.bring.isChecked()
    for on, most in ((True, BRINGS), (False, 0)):
        process.asked.clear()
        shown.bring.click()
        assert [asked[0] for asked in process.asked] == [SetBrings(most)]
        process.event_received.emit(FarmTold(True, "Studio", "1", linked=True, brings=most))
        assert shown.bring.isChecked() == on
    offer = Offer("2", "Mini", "h", "Ink", 2_000_000, 1, "1", kind="lora")
    told(process, seat("1", "Own"), seat("2", "Mini"), offers=(offer,))
    (row,) = shown._offers.values()
    assert "Mini lacks the LoRA “Ink” (2.0 MB)" in row.told.text()


def test_who_is_removed_is_told_and_can_join_again(sheet: Any) -> None:
    shown, process = sheet
    in_farm(shown, process)
    why = SfumatoError(ErrorKind.ACCESS, "The farm has removed this Mac; make a new join code.")
    process.event_received.emit(FarmTold(False, problem=why))
    assert shown.outside.isVisible()
    assert shown.problem.text() == why.message


def test_a_scheduler_that_is_away_is_told_once_and_what_this_mac_does_meanwhile(sheet: Any) -> None:
    shown, process = sheet
    in_farm(shown, process)
    said: list[str] = []
    shown._farm.notice.connect(said.append)
    gone = SfumatoError(ErrorKind.NETWORK, "The farm “Studio” cannot be reached; look.")
    process.event_received.emit(FarmTold(True, "Studio", "1", problem=gone))
    assert said == []  # perhaps it is back in a moment
    own = State("Studio", (seat("1", "Own"), seat("2", "Mini", "away")), alone=True)
    for _ in range(3):
        process.event_received.emit(FarmTold(True, "Studio", "1", problem=gone, state=own))
    assert said == [f"{gone.message} Until then this Mac makes its own queue by itself."]
    assert shown.where.text() == said[0]
    assert shown._rows["2"].doing.text() == "Away"
    told(process, seat("1", "Own"), seat("2", "Mini"))
    assert said[1:] == ["The farm “Studio” is there again."]


def test_a_scheduler_that_is_away_is_told(sheet: Any) -> None:
    shown, process = sheet
    in_farm(shown, process)
    gone = SfumatoError(ErrorKind.NETWORK, "The farm “Studio” cannot be reached; look.")
    process.event_received.emit(FarmTold(True, "Studio", "1", problem=gone))
    assert shown.where.text() == gone.message
