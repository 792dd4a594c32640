"""`sfumato queue`: the window's own queue, which it may have open at the same time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from gui import paths, words
from gui.cli import asking
from gui.cli.json_lines import add_options as add_json_options
from gui.cli.json_lines import wanted
from gui.cli.options import seconds
from gui.cli.progress import progress_of, say
from gui.errors import ErrorKind, SfumatoError
from gui.library.job import FINISHED, Job, JobStatus
from gui.library.queue import PAUSED, JobStore

SHORT = 8
"""Letters of an id that are shown; so many, or fewer, name it."""
_WORDS = {"queued": "waiting", "running": "running", "failed": "failed", "done": "done",
          "cancelled": "stopped"}  # fmt: skip


def add_parser(commands: Any) -> None:
    """Add the command and its own commands to `sfumato`."""
    queue = commands.add_parser(
        "queue",
        help="put pictures in line, and make them later",
        description="Look at the queue, add to it and run it.  It is the window's: while that is "
        "open it makes what is in line, and `run` is for when it is not.",
        allow_abbrev=False,
    )
    inner = queue.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(inner, "list", _list, "say what is in line, what failed and what is done", json_lines=True)
    add = _add(
        inner, "add", _append, "put a request in line; options as of `generate`", json_lines=True
    )
    asking.add_options(add)
    remove = _add(inner, "remove", _remove, "take requests off")
    remove.add_argument("ids", metavar="ID", nargs="*", help="as `queue list` tells them")
    for name in ("waiting", "failed", "finished"):
        remove.add_argument(f"--{name}", action="store_true", help=f"all that are {name}")
    retry = _add(inner, "retry", _retry, "put requests that failed in line again")
    retry.add_argument("ids", metavar="ID", nargs="*", help="as `queue list` tells them")
    retry.add_argument("--failed", action="store_true", help="all that failed")
    _add(inner, "pause", _pause, "begin nothing more once the present picture is finished")
    _add(inner, "resume", _resume, "go on")
    run = _add(
        inner, "run", _run,
        "make what is in line, without a window; Ctrl-C stops, and nothing is lost",
    )  # fmt: skip
    add_json_options(run, "picture")
    run.add_argument(
        "--linger",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="stay so long after the last one for what may come; a window that is opened "
        "meanwhile takes over; default: 0",
    )


def _add(inner: Any, name: str, run: Any, text: str, *, json_lines: bool = False) -> Any:
    parser = inner.add_parser(
        name, help=text, description=f"{words.capital(text)}.", allow_abbrev=False
    )
    if json_lines:
        parser.add_argument("--json", action="store_true", help="print a line of JSON per request")
    parser.set_defaults(run=run, parser=parser)
    return parser


@contextmanager
def _opened() -> Iterator[JobStore]:
    """The person's queue, for whoever does not run it.

    Raises:
        SfumatoError: STORAGE where it cannot be used.
    """
    store = JobStore.default(own=False)
    try:
        if store.notice:
            raise SfumatoError(
                ErrorKind.STORAGE,
                f"The queue in {paths.data_dir()} cannot be used: it is damaged, written by a "
                "newer version, or not to be written to; open Sfumato to see which.",
                store.notice,
            )
        yield store
    finally:
        store.close()


def _list(options: argparse.Namespace) -> int:
    with _opened() as store:
        jobs, paused = store.jobs(), store.option(PAUSED)
    if options.json:
        for job in jobs:
            print(json.dumps(_as_json(job)))
        return 0
    for job in jobs:
        count = job.request.count
        made = f" ({len(job.pictures)} of {count} made)" if count > 1 else ""
        prompt = words.shortened(words.plain(" ".join(job.request.prompt.split())), 60)
        cell = f"  [{job.request.grid.label}]" if job.request.grid else ""
        print(f"{job.id[:SHORT]}  {_WORDS[job.status]:<8} {prompt or '(no prompt)'}{cell}{made}")
        if job.error is not None and job.status is JobStatus.FAILED:
            print(f"{'':{SHORT + 2}}{'':9}{job.error.message}")
    if not jobs:
        say("nothing is in line.")
    if paused:
        say("the queue is paused; `sfumato queue resume` goes on.")
    return 0


def _as_json(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "status": _WORDS[job.status],
        "request": job.request.to_json(),
        "pictures": job.pictures,
        "error": job.error.to_json() if job.error else None,
    }


def _append(options: argparse.Namespace) -> int:
    try:
        request = asking.base_request(options)
    except SfumatoError as error:
        options.parser.error(error.message)
    request = replace(asking.with_model(request, options), previews=True)
    grid, requests = asking.expanded(request, options)
    with _opened() as store:
        jobs = store.add_all(requests, grid, request if grid is not None else None)
        paused, elsewhere = store.option(PAUSED), store.is_run_elsewhere()
        farmed = store.is_farmed()
    for job in jobs:
        print(json.dumps(_as_json(job)) if options.json else job.id[:SHORT])
    it, is_ = ("it", "is") if len(jobs) == 1 else ("they", "are")
    if paused:
        say("the queue is paused; `sfumato queue resume` goes on.")
    elif farmed:
        say(f"{it} {is_} made by the Macs of the farm.")
    elif elsewhere:
        say(f"Sfumato is open; {it} {is_} made there.")
    else:
        say(f"{it} {is_} made when Sfumato is opened, or by `sfumato queue run`.")
    return 0


def _remove(options: argparse.Namespace) -> int:
    wanted = {
        JobStatus.QUEUED: options.waiting,
        JobStatus.FAILED: options.failed,
        **dict.fromkeys(FINISHED, options.finished),
    }
    with _opened() as store:
        jobs = _named(store.jobs(), options.ids)
        jobs += [job for job in store.jobs() if wanted.get(job.status) and job not in jobs]
        if not options.ids and not any(wanted.values()):
            options.parser.error("say which: give an ID, --waiting, --failed or --finished")
        off = store.remove(*(job.id for job in jobs))
        running = [job for job in jobs if job.id not in off]
    for job in running:
        say(f"{job.id[:SHORT]} is being made; stop it where that is done.")
    say(f"{words.plural(len(jobs) - len(running), 'request')} taken off; pictures stay.")
    return 1 if running else 0


def _retry(options: argparse.Namespace) -> int:
    if not options.ids and not options.failed:
        options.parser.error("say which: give an ID, or --failed")
    with _opened() as store:
        jobs = _named(store.jobs(), options.ids)
        jobs += [j for j in store.jobs() if options.failed and j.status is JobStatus.FAILED]
        again = {j.id: j for j in jobs if j.status in (JobStatus.FAILED, JobStatus.CANCELLED)}
        for job in again.values():
            store.update(replace(job, status=JobStatus.QUEUED, error=None, crashes=0, ended=0.0))
    say(f"{words.plural(len(again), 'request')} in line again.")
    return 0 if again else 1


def _named(jobs: list[Job], ids: list[str]) -> list[Job]:
    """The jobs of these ids, or beginnings of them.

    Raises:
        SfumatoError: NOT_FOUND where one names none; BAD_REQUEST where it names several.
    """
    found: list[Job] = []
    for text in ids:
        named = [job for job in jobs if text and job.id.startswith(text.lower())]
        if not named:
            raise SfumatoError(
                ErrorKind.NOT_FOUND,
                f"Nothing in line is called “{text}”; look for its id with `sfumato queue list`.",
            )
        if len(named) > 1:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, f"“{text}” begins several ids; give more of its letters."
            )
        found += [job for job in named if job not in found]
    return found


def _pause(_options: argparse.Namespace) -> int:
    with _opened() as store:
        store.set_option(PAUSED, True)
    say("paused: nothing more is begun once the present picture is finished.")
    return 0


def _resume(_options: argparse.Namespace) -> int:
    with _opened() as store:
        store.set_option(PAUSED, False)
        elsewhere, waiting = store.is_run_elsewhere(), store.jobs()
    if elsewhere or not any(job.status is JobStatus.QUEUED for job in waiting):
        say("resumed.")
    else:
        say("resumed; it goes on when Sfumato is opened, or by `sfumato queue run`.")
    return 0


def _run(options: argparse.Namespace) -> int:
    from gui.farm import config as farm_config

    if farm_config.is_on() and not farm_config.is_run():
        farm_config.turn_off()  # its process was killed, and another one has yet to be started
    store = JobStore.default()
    if not store.is_owner or store.notice or store.option(PAUSED):
        owner, notice, farmed = store.is_owner, store.notice, store.is_farmed()
        store.close()
        if farmed:
            raise SfumatoError(
                ErrorKind.STORAGE,
                "The Macs of the farm make what is in line; see how far they are with `sfumato "
                "farm status`, or stop the farm on this Mac first.",
            )
        if not owner:
            raise SfumatoError(
                ErrorKind.STORAGE,
                "Sfumato is open elsewhere and makes what is in line itself; see how far it is "
                "with `sfumato queue list`.",
            )
        if notice:
            raise SfumatoError(ErrorKind.STORAGE, notice)
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, "The queue is paused; resume it with `sfumato queue resume`."
        )
    from gui.cli.queue_run import run_queue

    progress = progress_of(options, 1)
    return run_queue(lambda: store, progress, as_json=wanted(options), linger=options.linger)
