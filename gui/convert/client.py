"""The window's and the command line's end of the converter's process.

No Qt and nothing heavy.  Every call blocks its thread until the answer is there.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gui import locks, words
from gui.convert.messages import CONVERTER, CheckConversion, Convert, EstimateIt, Look
from gui.convert.types import ConvertRequest, Ended, Estimate, Progress, SourceInfo
from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.files import read_json_object
from gui.names import is_systems
from gui.process.child import ChildLost
from gui.process.supervisor import Supervisor

PARTIAL_SUFFIX = ".partial"
"""Ending of the work folder beside the model folder that is being made."""

JOURNAL = "journal.json"
"""File in the work folder that says what is being made and what of it is finished."""

MODEL = "model"
"""Folder in it that becomes the model folder."""

LOCK = "lock"
"""File in it that the process at work holds a lock on (`flock`)."""

CANCEL_GRACE = 3.0
"""Seconds a conversion has to stop by itself.  Tracing and converting one network cannot be
interrupted, so most of the time the process is ended."""

_CONTENTS = frozenset({MODEL, "scratch", "temporary"})
"""What a work folder holds besides journal and lock."""


@dataclass(frozen=True)
class Outlook:
    """What a conversion would take, and why it would be refused."""

    estimate: Estimate
    refusal: SfumatoError | None = None
    checked: bool = True
    """False: whether it would be refused is still being looked at."""


@dataclass(frozen=True)
class Unfinished:
    """A conversion that was interrupted and can go on."""

    folder: Path
    """The work folder."""
    request: ConvertRequest

    @property
    def title(self) -> str:
        return self.request.name or Path(self.request.output).name


class ConvertClient(Supervisor):
    """One converter process.  What a conversion has finished stays in its work folder, however the
    process ends.

    Args:
        command: program and arguments; None: this program's own.
    """

    def __init__(self, command: list[str] | None = None) -> None:
        super().__init__(CONVERTER, command)

    def look(self, path: str) -> SourceInfo:
        """What a source is.  Raises SfumatoError."""
        return self.ask(Look(path))

    def estimate(self, request: ConvertRequest) -> Estimate:
        """What a conversion would take.  Raises SfumatoError where not even that can be told."""
        return self.ask(EstimateIt(request))

    def refusal(self, request: ConvertRequest) -> SfumatoError | None:
        """Why a conversion would be refused.  The first time this takes seconds, for it holds the
        source's weights against the networks they belong to."""
        return self.ask(CheckConversion(request))

    def outlook(self, request: ConvertRequest) -> Outlook:
        """Both."""
        return Outlook(self.estimate(request), self.refusal(request))

    def convert(
        self,
        request: ConvertRequest,
        on_progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
        estimate: Estimate | None = None,
    ) -> Ended:
        """Convert, waiting for it; the process is used up by it.

        Never raises for what goes wrong with the conversion: that is in the answer.  After a
        cancel nothing is left of the model; after an error or a crash its work folder is.

        Args:
            cancelled: asked several times a second.
            estimate: for the sentence about a process that ran out of memory.
        """
        try:
            question = Convert(request)
            return Ended(self.ask(question, on_progress, cancelled, CANCEL_GRACE))
        except Cancelled:
            ended = Ended(cancelled=True)
        except ChildLost as lost:
            ended = Ended(cancelled=True) if cancelled() else Ended(error=_died(lost, estimate))
        except SfumatoError as error:
            ended = Ended(error=error)
        finally:
            self.stop(0.0)
        if ended.cancelled:
            remove_partial(request)
        return ended


def _died(lost: ChildLost, estimate: Estimate | None) -> SfumatoError:
    """Why the process ended by itself, with what a person can do about it."""
    detail = lost.detail
    if lost.status != -signal.SIGKILL:
        return SfumatoError(
            ErrorKind.ENGINE,
            "The converter stopped unexpectedly; go on, as finished parts are kept.",
            detail,
        )
    needs = ""
    if estimate is not None and estimate.memory_bytes:
        needs = f" (it needs about {words.memory(estimate.memory_bytes)})"
    return SfumatoError(
        ErrorKind.MEMORY,
        f"The system ended the converter, most likely for want of memory{needs}; close other "
        "programs and go on, or choose a smaller picture size.",
        detail,
    )


def partial_folder(output: str) -> Path:
    """The work folder of the conversion that makes the model folder `output`."""
    path = Path(output)
    return path.with_name(path.name + PARTIAL_SUFFIX)


def remove_partial(request: ConvertRequest, later: bool = False) -> None:
    """Take away what an unfinished conversion has left, unless another process is at it or it was
    one of other settings.

    Args:
        later: only take it out of the way now, and delete the gigabytes in a thread of its own.
            Where the program ends before that, the rest is listed among the leftovers.
    """
    work = partial_folder(request.output)
    try:
        with (work / LOCK).open("rb") as lock:
            if locks.take(lock.fileno()) and asked_of(work) in (None, request):
                _remove(work, later)
    except FileNotFoundError:
        if is_work_folder(work):
            _remove(work, later)
    except OSError:
        return


def is_work_folder(folder: Path) -> bool:
    """Whether a folder with a work folder's name is one, or empty: a person may have called a
    folder of their own so."""
    try:
        names = {path.name for path in folder.iterdir() if not is_systems(path.name)}
    except OSError:
        return False
    # What a deletion was ended half-way through may lack its journal and lock.
    return bool(names & {JOURNAL, LOCK}) or names <= _CONTENTS


def is_at_work(folder: Path) -> bool:
    """Whether a process is converting in a work folder."""
    try:
        with (folder / LOCK).open("rb") as lock:
            return locks.is_taken(lock.fileno())
    except OSError:
        return False


def asked_of(work: Path) -> ConvertRequest | None:
    """The request that a work folder's journal states; None where it states none."""
    try:
        data = read_json_object(work / JOURNAL)
        return ConvertRequest.from_json(data["request"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _remove(work: Path, later: bool) -> None:
    if later:
        aside = work.with_name(f".removed-{uuid.uuid4().hex[:12]}")
        with contextlib.suppress(OSError):
            work.rename(aside)
            threading.Thread(target=shutil.rmtree, args=(aside, True), daemon=True).start()
            return
    shutil.rmtree(work, ignore_errors=True)


def unfinished(root: Path, *, at_work: bool = False) -> list[Unfinished]:
    """Conversions below `root` (its own folders and theirs) that can go on, oldest first.

    A work folder whose model was put in its place just before the end is taken away.

    Args:
        at_work: also those that a process is at.
    """
    found: list[tuple[float, Unfinished]] = []
    for pattern in (f"*{PARTIAL_SUFFIX}/{JOURNAL}", f"*/*{PARTIAL_SUFFIX}/{JOURNAL}"):
        for journal in root.glob(pattern):
            work = journal.parent
            request = asked_of(work)
            with contextlib.suppress(OSError):
                if request is None or (is_at_work(work) and not at_work):
                    continue
                if Path(request.output).exists() and not (work / MODEL).exists():
                    remove_partial(request)
                elif partial_folder(request.output) == work:
                    found.append((journal.stat().st_mtime, Unfinished(work, request)))
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]
