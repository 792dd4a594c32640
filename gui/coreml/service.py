"""The process that reads model folders for the window.

Walking the tens of thousands of operations of a UNet takes a few tenths of a second of Python, and
parsing its specification never lets go of the interpreter: on a thread of the window's process
every event would wait for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from gui.coreml import fit
from gui.coreml.control_networks import control_networks
from gui.coreml.inspect import inspect_model, load_sidecar, model_hash
from gui.coreml.map_network import map_networks
from gui.coreml.messages import (
    READER,
    ListNetworks,
    NetworkFacts,
    Networks,
    Read,
    Reading,
)
from gui.coreml.model import ComponentInfo
from gui.coreml.picture_network import upscalers
from gui.errors import ErrorKind, SfumatoError, as_sfumato_error
from gui.mac import mac_vision
from gui.process.messages import Question
from gui.process.serve import Call, Server, run_child


def read_model(folder: Path) -> Reading:
    """What is in a model folder.  Never raises for a bad one: the reading says why."""
    info = None
    try:
        info = inspect_model(folder)
        problem = info.problems[0] if info.problems else ""
        return Reading(info, load_sidecar(info), problem, "" if problem else model_hash(info))
    except SfumatoError as error:
        found = info.problems if info is not None else ()
        return Reading(info, problem=found[0] if found else error.message)


def networks() -> Networks:
    """The networks beside the models; what is in their folders and is none, with the reason."""
    no_controls: list[tuple[Path, SfumatoError]] = []
    no_upscalers: list[tuple[Path, SfumatoError]] = []
    no_maps: list[tuple[Path, SfumatoError]] = []
    controls = control_networks(no_controls)
    return Networks(
        tuple(controls),
        (
            *(_facts(each.name, each.component, each.summary) for each in upscalers(no_upscalers)),
            *_problems(no_upscalers),
        ),
        (
            *(_facts(each.name, each.component, each.summary) for each in map_networks(no_maps)),
            *_problems(no_maps),
        ),
        tuple(_problems(no_controls)),
        mac_vision().available,
    )


def _facts(name: str, component: ComponentInfo, summary: str) -> NetworkFacts:
    path = str(component.files[0])
    return NetworkFacts(name, path, fit.plain(summary), component.size_bytes)


def _problems(left_out: list[tuple[Path, SfumatoError]]) -> Iterator[NetworkFacts]:
    for path, error in left_out:
        yield NetworkFacts(fit.plain(path.stem), str(path), problem=fit.plain(error.what))


def _as_error(error: Exception, _question: Question[Any]) -> SfumatoError:
    message = "This model cannot be read; the log says why."
    return SfumatoError(ErrorKind.BAD_MODEL, message, as_sfumato_error(error).detail)


def _serve(connection: Connection) -> None:
    def read(ask: Read, _call: Call) -> Reading:
        return read_model(ask.folder)

    def list_networks(_ask: ListNetworks, _call: Call) -> Networks:
        return networks()

    answers = {Read: read, ListNetworks: list_networks}
    Server(connection, READER, answers, as_error=_as_error).run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the process."""
    run_child("coreml", _serve, arguments)
