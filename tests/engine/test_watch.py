"""How long the engine may be silent."""

from __future__ import annotations

from gui.engine.messages import Image, Loading, Prepared, Step
from gui.engine.runner import Patience, SilenceWatch
from gui.request import PictureRecord, PictureRequest

PATIENCE = Patience(
    loading=1000, first_step=500, steps=20, step_floor=2, finish_floor=50,
)  # fmt: skip
IMAGE = Image(0, "/p", PictureRecord(PictureRequest("", ""), 1, 1, ""))


def step(number: int, steps: int = 10) -> Step:
    return Step(0, number, steps, 0.0)


def test_loading_and_the_first_step_have_their_own_limits() -> None:
    watch = SilenceWatch(PATIENCE, now=0)
    assert watch.left(10) == 990
    watch.saw(Loading("unet", 1, 2, 0), now=300)
    assert watch.left(300) == 1000
    watch.saw(Prepared("m", 1, 1), now=400)
    assert watch.left(400) == 500


def test_later_steps_are_measured_by_the_median() -> None:
    watch = SilenceWatch(PATIENCE, now=0)
    watch.saw(Prepared("m", 1, 1), now=0)
    now = 0.0
    for number, duration in enumerate([40, 1, 1, 30, 1], 1):  # warming up, and one hiccup
        now += duration
        watch.saw(step(number), now)
    assert watch.left(now) == 20
    assert watch.left(now + 21) < 0


def test_quick_steps_do_not_make_it_impatient() -> None:
    watch = SilenceWatch(PATIENCE, now=0)
    for number in range(1, 5):
        watch.saw(step(number), now=number * 0.001)
    assert watch.left(0.004) == 2


def test_decoding_after_the_last_step_has_more_time() -> None:
    watch = SilenceWatch(PATIENCE, now=0)
    for number in range(1, 11):
        watch.saw(step(number), now=number * 0.1)
    assert watch.left(1.0) == 50
    watch.saw(IMAGE, now=5)
    assert watch.left(5) == 50
    watch.saw(step(1), now=6)  # the pause for decoding counts as no step
    watch.saw(step(2), now=6.1)
    assert abs(watch.left(6.1) - 2) < 1e-9


def test_one_step_pictures_never_get_less_than_a_first_step() -> None:
    watch = SilenceWatch(PATIENCE, now=0)
    watch.saw(step(1, steps=1), now=100)
    assert watch.left(100) == 500


def test_a_picture_that_is_saved_meanwhile_makes_it_no_more_patient_with_the_next() -> None:
    watch = SilenceWatch(PATIENCE, now=0)
    for number in range(1, 11):
        watch.saw(step(number), now=number * 0.1)
    watch.saw(step(1), now=1.1)
    watch.saw(IMAGE, now=1.2)
    assert abs(watch.left(1.2) - 2) < 1e-9
