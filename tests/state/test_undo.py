"""What was done can be taken back, in turn; and short work elsewhere comes back on this thread."""

from __future__ import annotations

import threading

from gui.errors import ErrorKind, SfumatoError
from gui.state.background import Background
from gui.state.undo import LIMIT, UndoStack


def test_steps_are_undone_in_turn_and_redone(qapp):
    stack, shelf = UndoStack(), ["a", "b"]
    assert stack.undo_text == stack.redo_text == ""
    stack.undo()  # nothing to undo does nothing
    stack.did("Remove b", lambda: shelf.append("b"), lambda: shelf.remove("b"))
    assert shelf == ["a", "b"], "what was done is not done again"
    shelf.remove("b")
    shelf.remove("a")
    stack.did("Remove a", lambda: shelf.append("a"), lambda: shelf.remove("a"))
    assert stack.undo_text == "Remove a"
    stack.undo()
    assert shelf == ["a"] and (stack.undo_text, stack.redo_text) == ("Remove b", "Remove a")
    stack.undo()
    assert sorted(shelf) == ["a", "b"] and stack.undo_text == ""
    stack.redo()
    assert shelf == ["a"]


def test_the_stack_says_when_it_changes_and_stays_small(qapp, qtbot):
    stack, done = UndoStack(), []
    with qtbot.waitSignal(stack.changed):
        stack.did("One", lambda: done.append(0), lambda: None)
    for number in range(1, LIMIT + 5):
        stack.did(str(number), lambda n=number: done.append(n), lambda: None)
    while stack.undo_text:
        stack.undo()
    assert len(done) == LIMIT and done[-1] == 5


def test_work_is_done_elsewhere_and_its_outcome_told_here(qapp, qtbot):
    background, told = Background(), []

    def refuse() -> None:
        raise SfumatoError(ErrorKind.STORAGE, "The disk is full; free some space.")

    def here(value: object) -> None:
        told.append((value, threading.current_thread() is threading.main_thread()))

    background.run(threading.current_thread, here, here)
    background.run(refuse, here, here)
    background.run(lambda: 1 // 0, here, here)
    qtbot.waitUntil(lambda: len(told) == 3)
    assert all(main for _, main in told)
    assert told[0][0] is not threading.main_thread()
    assert told[1][0].message == "The disk is full; free some space."
    assert told[2][0].kind is ErrorKind.INTERNAL and "ZeroDivisionError" in told[2][0].detail


def test_nothing_is_told_after_the_end(qapp, qtbot):
    background, told = Background(), []
    background.run(lambda: None, told.append, told.append)
    background.close()
    qapp.processEvents()
    assert told == []
