"""`sfumato mcp`: an assistant's way to pictures."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from gui.errors import ErrorKind, SfumatoError

if TYPE_CHECKING:
    from gui.serve.messages import ServiceOptions


def add_parser(commands: Any) -> None:
    """Add the command to `sfumato`."""
    parser = commands.add_parser(
        "mcp",
        help="let an assistant make and find pictures, over MCP",
        description="Speak the Model Context Protocol on stdin and stdout, for an assistant that "
        "starts this command: it can make, enlarge, find and look at pictures, and list models. "
        "What it asks for goes into the queue; where the window is open, it is made there. It "
        "names pictures by their number in the gallery, and opens no files of yours.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=_run, parser=parser)


def _run(options: argparse.Namespace) -> int:
    if sys.stdin.isatty():
        options.parser.error(
            "an assistant starts this command; put it into the assistant's configuration"
        )
    try:
        from gui.mcp_server.server import serve
    except ModuleNotFoundError as error:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"The package “{error.name}” is missing; install it with `pip install mcp`.",
            repr(error),
        ) from error
    serve(_service_options)
    return 0


def _service_options() -> ServiceOptions:
    from gui.serve.messages import ServiceOptions
    from gui.state.settings import Settings

    settings = Settings()
    model = settings.selected_model
    return ServiceOptions(
        "",
        model=model,
        model_folders=(*settings.model_folders, *([model] if model else [])),
        pictures_folder=settings.pictures_folder,
        safety_checker=settings.safety_checker,
        compute_unit=settings.compute_unit,
        precision=settings.precision,
    )
