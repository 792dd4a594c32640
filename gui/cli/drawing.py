"""Pictures made by a command: an engine of its own, which Ctrl-C stops."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable

from gui.cli.progress import ProgressLine
from gui.engine import messages
from gui.engine.runner import EngineRunner, Outcome, OutcomeStatus
from gui.request import PictureRequest


def draw(
    request: PictureRequest,
    progress: ProgressLine,
    on_event: Callable[[messages.JobEvent], None],
) -> Outcome:
    """Make the pictures of a request; an engine that dies is replaced once.

    Args:
        progress: shows where it stands.
        on_event: told everything the engine says.

    Returns:
        How it ended: finished or cancelled.

    Raises:
        SfumatoError: it ended with an error and not all pictures are there.
    """
    made = 0

    def hear(event: messages.JobEvent) -> None:
        nonlocal made
        if isinstance(event, messages.Loading):
            progress.loading(event.component, event.index, event.total, event.preparing)
        elif isinstance(event, messages.Step):
            progress.step(event.picture_index, event.step, event.steps, event.seconds_per_step)
        elif isinstance(event, messages.Image):
            made += 1
        on_event(event)

    def on_state(state: str) -> None:
        if state == "stopping":
            progress.text("stopping (Ctrl-C again: at once)")

    runner = EngineRunner(on_state=on_state)
    job = uuid.uuid4().hex
    handlers = {s: signal.signal(s, lambda *_: runner.stop(job)) for s in (signal.SIGINT,)}
    handlers[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: runner.abandon())
    try:
        progress.text("starting")
        outcome = runner.run(job, request, 0, hear)
        if outcome.status is OutcomeStatus.LOST and made < request.count:
            what = outcome.error.what if outcome.error else ""
            progress.line(f"{what} Trying once more.".strip())
            outcome = runner.run(job, request, made, hear, resumed=True)
    finally:
        progress.clear()
        runner.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if outcome.status is OutcomeStatus.CANCELLED:
        progress.line("Stopped.")
    elif outcome.error is not None and made < request.count:
        raise outcome.error
    return outcome
