"""`sfumato serve`: the service for other programs, without a window."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING, Any

from gui.cli.options import STOPPED, add_precision
from gui.cli.progress import say
from gui.coreml.precision import check_precision
from gui.errors import ErrorKind, SfumatoError
from gui.serve.messages import DEFAULT_PORT, LOOPBACK

if TYPE_CHECKING:
    from gui.serve.messages import Listening, ServiceOptions

_TICK_MS = 50
"""So often Python gets to its signal handlers."""
_IDLE_MS = 1000
"""So often the queue is let go where nothing waits in it."""


def add_parser(commands: Any) -> None:
    """Add the command to `sfumato`."""
    parser = commands.add_parser(
        "serve",
        help="let other programs ask for pictures, over HTTP",
        description="Answer other programs that speak the API of A1111's web UI, or Sfumato's own "
        "(see /openapi.json), until Ctrl-C.  What they ask for goes into the queue; where the "
        "window is open, it is made there.  Programs show a token, which is printed.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        metavar="N",
        help=f"0: any that is free; default: {DEFAULT_PORT}",
    )
    add(
        "--host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help="an address of this computer, by which others reach it too; by TLS alone; default: "
        f"{LOOPBACK}, for this computer only",
    )
    several = "; may be given several times"
    add(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help=f"another name by which this computer may be called{several}",
    )
    add(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help=f"a web page that may ask, as https://example.org{several}",
    )
    add(
        "--model",
        "-i",
        default="",
        metavar="MODEL",
        help="the model of requests that name none; default: the one in use in the window",
    )
    add_precision(parser, None)
    add("--new-token", action="store_true", help="make another token; the old one is worth nothing")
    parser.set_defaults(run=_run, parser=parser)


def _run(options: argparse.Namespace) -> int:
    return serve(_options_of(options), new_token=options.new_token)


def _options_of(options: argparse.Namespace) -> ServiceOptions:
    from gui.cli.finding import model_folder
    from gui.serve.addresses import checked_origin
    from gui.serve.messages import ServiceOptions
    from gui.state.settings import Settings

    if not 0 <= options.port <= 65535:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, "A port is a number from 0 to 65535; give another --port."
        )
    if options.precision is not None:
        check_precision(options.precision)
    settings = Settings()
    model = str(model_folder(options.model, "")) if options.model else settings.selected_model
    return ServiceOptions(
        "",
        options.host,
        options.port,
        tuple(checked_origin(text) for text in options.allow_origin),
        tuple(options.name),
        model,
        (*settings.model_folders, *([model] if model else [])),
        settings.pictures_folder,
        settings.safety_checker,
        settings.compute_unit,
        options.precision or settings.precision,
    )


def serve(options: ServiceOptions, *, new_token: bool = False) -> int:
    """Serve until Ctrl-C, and run the queue where nobody else does.

    Returns:
        130 after Ctrl-C.

    Raises:
        SfumatoError: it cannot be heard.
    """
    from PySide6.QtCore import QCoreApplication, QTimer

    from gui.state.job_queue import JobQueue
    from gui.state.queue.sheets import ContactSheets
    from gui.state.service_thread import ServiceThread

    app = QCoreApplication.instance() or QCoreApplication([])
    service, queue = ServiceThread(), JobQueue(gives_way=True)
    sheets = ContactSheets(queue)
    failed: list[SfumatoError] = []
    stopped: list[int] = []
    token: list[str] = []

    def on_failed(error: SfumatoError) -> None:
        failed.append(error)
        app.quit()

    def on_heard(listening: Listening) -> None:
        print(listening.url, flush=True)
        say(f"the token that programs show: {token[-1]}")
        if listening.fingerprint:
            say(f"the certificate's fingerprint (SHA-256): {listening.fingerprint}")
        say("Ctrl-C stops.")

    service.token_known.connect(token.append)
    service.heard.connect(on_heard)
    service.failed.connect(on_failed)
    service.touched.connect(queue.look_elsewhere)
    queue.notice.connect(say)
    queue.job_failed.connect(lambda _job, error: say(error.message))
    handlers = {
        number: signal.signal(number, lambda which, _frame: stopped.append(which))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    tick, idle = QTimer(), QTimer()
    tick.setInterval(_TICK_MS)
    tick.timeout.connect(lambda: app.quit() if stopped else None)
    idle.setInterval(_IDLE_MS)  # a window that is opened meanwhile may have the queue
    idle.timeout.connect(lambda: None if queue.waiting() else queue.give_way())
    try:
        queue.start()
        sheets.look()
        service.listen(options, new_token=new_token)
        tick.start()
        idle.start()
        app.exec()
    finally:
        tick.stop()
        idle.stop()
        service.close()
        queue.shutdown()
        sheets.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if failed:
        raise failed[0]
    print("sfumato: stopped.", file=sys.stderr)
    return STOPPED
