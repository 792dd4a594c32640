"""Make a Grid: two lists, and what they come to; alternatives in an ordinary prompt."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from tests.ui.test_generate import press_generate, type_prompt

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def sheet(workspace):
    type_prompt(workspace, "a fox")
    workspace.actions_.make_grid.trigger()
    return workspace.queue_room.grid_sheet


def fill(row, field: str, text: str) -> None:
    row.choice.select_data(field)
    row.edit.selectAll()
    QTest.keyClick(row.edit, Qt.Key.Key_Delete)
    QTest.keyClicks(row.edit, text)


def test_the_number_of_pictures_is_said_before_and_they_are_put_in_line(workspace, queue, sheet):
    assert not sheet.make.isEnabled() and not sheet.problem.isVisible(), "nothing is wrong yet"
    fill(sheet.columns, "guidance_scale", "5-9:1")
    fill(sheet.rows, "scheduler", "Euler, DDIM")
    sheet.refresh()
    assert sheet.sum.text() == "5 × 2: 10 pictures"
    QTest.mouseClick(sheet.make, LEFT)
    jobs = queue.jobs()
    assert len(jobs) == 10 and not sheet.isVisible()
    assert [(j.request.guidance_scale, j.request.scheduler) for j in jobs[4:6]] == [
        (9, "Euler"), (5, "DDIM"),
    ]  # fmt: skip
    assert len({j.request.seed for j in jobs}) == 1 and {j.request.count for j in jobs} == {1}
    ((grid, base),) = queue.grids
    assert {j.request.grid.grid for j in jobs} == {grid.id}
    assert (base.prompt, base.grid, base.guidance_scale) == ("a fox", None, 5)
    workspace.studio.job_list.refresh()
    rows = workspace.studio.job_list.rows()
    assert "Grid: Guidance 5, Euler" in workspace.studio.job_list.detail(rows[1])
    # The rest of a grid goes at once.
    panel = workspace.queue_room.panel
    panel.choose([jobs[3].id])
    (rest,) = [a for a in panel.job_menu().actions() if a.text() == "Remove What Waits of the Grid"]
    rest.trigger()
    assert queue.jobs() == []
    workspace.studio.undo.undo()
    assert len(queue.jobs()) == 10
    workspace.studio.undo.undo()
    assert queue.jobs() == []


@pytest.mark.parametrize(
    ("columns", "rows", "sentence"),
    [
        (("steps", "ten"), ("", ""), "“ten” is no number"),
        (
            ("steps", "1-100"),
            ("seed", "1-100"),
            "That is 10000 pictures; a grid may have up to 256",
        ),
        (("steps", "1,2"), ("steps", "1,2"), "Both sides are “Steps”"),
        (("model", "Nobody"), ("", ""), "No model here is called “Nobody”"),
        (("start_image.strength", "0.5"), ("", ""), "needs a starting picture"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(queue, sheet, columns, rows, sentence):
    fill(sheet.columns, *columns)
    fill(sheet.rows, *rows)
    sheet.refresh()
    assert sentence in sheet.problem.text() and not sheet.make.isEnabled()
    sheet._make()
    assert queue.jobs() == [] and sheet.isVisible()


def test_values_can_be_picked_from_a_menu(workspace, queue, sheet):
    fill(sheet.columns, "scheduler", "")
    (first, second, *_) = sheet.values_menu(sheet.columns).actions()
    first.trigger()
    second.trigger()
    fill(sheet.rows, "model", "")
    sheet.values_menu(sheet.rows).actions()[0].trigger()
    sheet.refresh()
    assert sheet.sum.text() == "2 × 1: 2 pictures"
    assert [a.isChecked() for a in sheet.values_menu(sheet.columns).actions()[:3]] == [
        True, True, False,
    ]  # fmt: skip
    sheet.values_menu(sheet.columns).actions()[0].trigger()
    assert sheet.columns.edit.text() == second.text()
    sheet.rows.choice.select_data("steps")
    assert not sheet.rows.pick.isVisible() and sheet.rows.edit.text() == ""
    sheet.rows.choice.select_data("model")
    assert sheet.rows.edit.text() != "", "what was typed for a parameter is there again"


def test_the_prompts_own_alternatives_are_a_side(workspace, queue, sheet):
    sheet.reject()
    type_prompt(workspace, "a {red|blue} {fox|cat}")
    workspace.actions_.make_grid.trigger()
    assert sheet.columns.side().field == "prompt"
    assert sheet.columns.edit.placeholderText() == "red | blue"
    sheet.rows.choice.select_data("prompt")
    assert sheet.rows.edit.placeholderText() == "fox | cat"
    sheet.refresh()
    QTest.mouseClick(sheet.make, LEFT)
    assert [job.request.prompt for job in queue.jobs()] == [
        "a red fox", "a blue fox", "a red cat", "a blue cat",
    ]  # fmt: skip


def test_the_seed_is_kept_where_it_is_kept(workspace, queue, sheet):
    workspace.studio.draft.set("seed", 77)
    fill(sheet.columns, "steps", "3,4")
    fill(sheet.rows, "", "")
    sheet.refresh()
    QTest.mouseClick(sheet.make, LEFT)
    assert [job.request.seed for job in queue.jobs()] == [77, 77]


def test_alternatives_make_a_request_each_and_go_as_one(workspace, queue):
    type_prompt(workspace, "a {red|blue} fox, {day|night}")
    press_generate(workspace)
    jobs = queue.jobs()
    assert [job.request.prompt for job in jobs] == [
        "a red fox, day", "a red fox, night", "a blue fox, day", "a blue fox, night",
    ]  # fmt: skip
    assert len({job.request.seed for job in jobs}) == 1
    assert "4 requests are in line" in workspace.canvas.banner.statement.text()
    assert workspace.prompt_panel.prompt.edit.toPlainText() == "a {red|blue} fox, {day|night}"
    workspace.studio.undo.undo()
    assert queue.jobs() == []


def test_braces_that_are_meant_as_they_are(workspace, queue):
    type_prompt(workspace, "{{strong}} a \\{red|blue} fox".replace("\\\\", "\\"))
    press_generate(workspace)
    (job,) = queue.jobs()
    assert job.request.prompt == "{{strong}} a {red|blue} fox"
    # Used again it means the same.
    from gui.state.draft import Draft

    workspace.studio.draft.replace(Draft.from_request(job.request), "Use Settings")
    press_generate(workspace)
    assert [j.request.prompt for j in queue.jobs()] == [job.request.prompt] * 2


def test_too_many_alternatives_are_refused(workspace, queue):
    type_prompt(workspace, "{a|b|c|d|e|f|g|h|i}" * 3)
    press_generate(workspace)
    assert queue.jobs() == []
    assert "more than 64 prompts" in workspace.canvas.banner.statement.text()


def test_a_waiting_one_has_no_alternatives(workspace, queue):
    type_prompt(workspace, "running")
    press_generate(workspace)
    queue.run()
    type_prompt(workspace, "waiting")
    press_generate(workspace)
    workspace.studio.jobs.edit(queue.last.id)
    type_prompt(workspace, "{a|b}")
    press_generate(workspace)
    assert "this is one" in workspace.canvas.banner.statement.text()
    assert queue.last.request.prompt == "waiting" and workspace.queue_room.edit_bar.isVisible()
