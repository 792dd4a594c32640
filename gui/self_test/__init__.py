"""``--self-test``: does this copy of Sfumato have everything it needs, and can it make a picture?

Runs in the finished bundle on the machine that built it, on the Macs that it is meant for, in a
wheel and in a checkout.  Prints one line per check, and writes a report for those who collect them
(``--report FILE``).  It catches everything, because an exception that leaves a bundle's main
program opens a dialog that waits for a person.

`checks` are those of every system, `mac` those that only a Mac can answer: all that
`gui.mac.cocoa` and `gui.coreml.native` do is done there once.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gui
from gui import words
from gui.self_test import checks
from gui.self_test.found import CheckError, Found
from gui.versions import system, versions

REPORT_FORMAT = 1
LIBRARIES = ("coremltools", "diffusers", "transformers", "torch", "numpy", "PySide6-Essentials")

Check = tuple[str, Callable[[], str | Found]]


@dataclass
class Report:
    """What is written for those who collect reports; after each check, for one may crash."""

    path: Path | None
    told: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    running: str = ""

    def write(self, *, complete: bool = False) -> None:
        """Raises OSError where it cannot be written."""
        if self.path is None:
            return
        told = {
            "format": REPORT_FORMAT,
            "version": gui.__version__,
            "bundle": bool(getattr(sys, "frozen", None)),
            "system": system(),
            "machine": platform.machine(),
            "versions": versions(*LIBRARIES),
            "complete": complete,
            "running": self.running,
            "passed": complete and all(one["passed"] for one in self.told),
            "checks": self.told,
        }
        text = json.dumps(told, indent=1, ensure_ascii=False)
        # The name of a person's folder is often theirs.
        text = text.replace(str(Path.home()), "~")
        self.path.write_text(f"{text}\n", "utf-8")


def all_checks(pictures: bool = True) -> list[Check]:
    """Every check for this system, what may crash the process last.

    Args:
        pictures: whether our other processes are run, too.
    """
    every: list[Check] = [
        ("program", checks.program),
        ("resources", checks.resources),
        ("window modules", lambda: checks.modules(checks.WINDOW_MODULES)),
        ("engine modules", lambda: checks.modules(checks.ENGINE_MODULES + checks.native_modules())),
        ("window system", checks.window_system),
        ("window", checks.window),
        ("certificates", checks.certificates),
        ("callbacks", checks.callbacks),
        ("starter model", checks.starter_model),
    ]
    if pictures:
        every += [
            ("models", checks.reading),
            ("hub", checks.hub),
            ("conversion", checks.conversion),
            ("picture", checks.picture),
            ("enlarging", checks.enlarging),
            ("service", checks.service),
        ]
    if sys.platform == "darwin":
        from gui.self_test import mac

        every += mac.all_checks(pictures)
    return every


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every check, even after one failed.  Returns 0 when all hold, 1 otherwise; never raises.

    Args:
        arguments: ``--no-picture`` leaves out the checks that run our other processes,
            ``--only NAME`` runs one, ``--report FILE`` writes a JSON file.
    """
    parser = argparse.ArgumentParser(prog="sfumato --self-test")
    parser.add_argument("--no-picture", action="store_true", help="don't run the other processes")
    parser.add_argument("--only", metavar="NAME", action="append", help="run this check alone")
    parser.add_argument("--report", metavar="FILE", type=Path, help="write a JSON file, to pass on")
    options = parser.parse_args(arguments)
    with contextlib.suppress(AttributeError, OSError, RuntimeError, ValueError):  # no stderr
        faulthandler.enable()
    chosen = all_checks(not options.no_picture)
    if options.only:
        known = [name for name, _ in chosen]
        if strangers := [name for name in options.only if name not in known]:
            print(f"No check is called {strangers[0]!r}; there are: {', '.join(known)}.")
            return 1
        chosen = [check for check in chosen if check[0] in options.only]
    report = Report(options.report)
    try:
        failed = sum([not _run(name, check, report) for name, check in chosen])
        report.running = ""
        report.write(complete=True)
    except OSError as error:
        print(f"self-test FAILED: the report cannot be written ({error})")
        return 1
    print("self-test passed" if not failed else f"self-test FAILED: {failed} of {len(chosen)}")
    return 1 if failed else 0


def _run(name: str, check: Callable[[], str | Found], report: Report) -> bool:
    report.running = name
    report.write()
    started = time.monotonic()
    try:
        said = check()
    except BaseException as error:  # SystemExit too: a module may try to quit at import
        if isinstance(error, KeyboardInterrupt):
            raise
        print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
        detail = traceback.format_exc()
        if not isinstance(error, CheckError):
            print(detail, file=sys.stderr, flush=True)
        seconds = time.monotonic() - started
        text = f"{type(error).__name__}: {error}"
        report.told.append(
            {"name": name, "passed": False, "seconds": round(seconds, 3), "said": text,
             "detail": detail}
        )  # fmt: skip
        return False
    seconds = time.monotonic() - started
    found = said if isinstance(said, Found) else Found(said)
    print(f"ok     {name}: {found.text} ({words.measured(seconds)})", flush=True)
    report.told.append(
        {"name": name, "passed": True, "seconds": round(seconds, 3), "said": found.text,
         **({"measured": found.measured} if found.measured else {})}
    )  # fmt: skip
    return True
