"""`sfumato farm`: several Macs, one queue."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import words
from gui.cli.options import gigabytes, port
from gui.cli.progress import say
from gui.errors import ErrorKind, SfumatoError

if TYPE_CHECKING:
    from gui.farm import wire
    from gui.farm.config import Config

_STATES = {"idle": "waits", "asks": "asks only", "away": "away", "busy": "begins",
           "loading": "loads a model", "drawing": "draws", "enlarging": "enlarges"}  # fmt: skip


def add_parser(commands: Any) -> None:
    """Add the command and its own commands to `sfumato`."""
    farm = commands.add_parser(
        "farm",
        help="make pictures on several Macs, from one queue",
        description="Make pictures on several Macs.  One of them starts the farm, the others join "
        "with a code from there; each Mac's queue is drawn by all of them.  What they say to each "
        "other is encrypted, and nobody joins without a code.",
        allow_abbrev=False,
    )
    inner = farm.add_subparsers(title="commands", metavar="COMMAND", required=True)
    start = _add(inner, "start", _start, "start a farm on this Mac, and stay; Ctrl-C stops")
    _options(start)
    start.add_argument("--farm-name", metavar="TEXT", default="", help="what the farm is called")
    start.add_argument("--port", type=port, default=0, help="to listen on (47866)")
    start.add_argument("--bind", metavar="ADDRESS", default="",
                       help="listen on this address of the Mac's only")  # fmt: skip
    start.add_argument("--invite", metavar="FILE", default="",
                       help="write a join code there, for another Mac")  # fmt: skip
    join = _add(inner, "join", _join, "join a farm with a code, or go on in it; Ctrl-C stops")
    join.add_argument("address", metavar="ADDRESS", nargs="?", default="",
                      help="of the Mac that started it; the code knows it, too")  # fmt: skip
    join.add_argument("--code", metavar="TEXT", default="", help="the join code; -: from stdin")
    join.add_argument("--file", metavar="FILE", default="", help="a file with the join code")
    _options(join)
    _add(inner, "invite", _invite, "print a join code for one more Mac; good once, for a day")
    status = _add(inner, "status", _status, "say who is in the farm and does what")
    status.add_argument("--json", action="store_true", help="print JSON")
    copy = _add(
        inner, "copy", _copy, "copy a model or network that is missing to a Mac of the farm"
    )
    copy.add_argument("model", metavar="MODEL", help="as `status` tells it")
    copy.add_argument("mac", metavar="MAC", help="its name")
    copy.add_argument("--from-hub", action="store_true", help="have it fetched from the Hub there")
    remove = _add(inner, "remove", _remove, "let another Mac in no more; its jobs stay in its own "
                  "queue, what it drew is drawn elsewhere")  # fmt: skip
    remove.add_argument("mac", metavar="MAC", help="its name, as `status` tells it")
    _add(inner, "stop", _stop, "stop the farm on this Mac, until it is started or joined again")
    _add(inner, "leave", _leave, "leave the farm for good; jobs of this Mac stay in its queue")


def _add(inner: Any, name: str, run: Any, text: str) -> Any:
    parser = inner.add_parser(
        name, help=text, description=f"{words.capital(text)}.", allow_abbrev=False
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def _options(parser: Any) -> None:
    parser.add_argument("--name", metavar="TEXT", default="", help="what this Mac is called")
    parser.add_argument("--no-draw", action="store_true",
                        help="ask for pictures, and draw none")  # fmt: skip
    parser.add_argument("--no-bonjour", action="store_true",
                        help="neither tell the network nor search it")  # fmt: skip
    parser.add_argument("--bring", metavar="GB", type=gigabytes, default=None,
                        help="bring models, LoRAs and other networks that this Mac lacks from the "
                        "others without asking, up to so many GB each; 0: ask")  # fmt: skip


def _need() -> None:
    """Raises SfumatoError, UNSUPPORTED, where the farm's packages are not installed."""
    import importlib.util

    if importlib.util.find_spec("distributed") is None:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "A farm needs packages that are not installed; install them with "
            "pip install 'sfumato[farm]'.",
        )


def _start(options: argparse.Namespace) -> int:
    _need()
    from gui.farm import session

    config = session.started(
        options.name, farm_name=options.farm_name, port=options.port, bind=options.bind,
        draws=not options.no_draw, found=not options.no_bonjour, brings=options.bring,
    )  # fmt: skip
    where = f"{config.addresses[0]}:{config.port}"
    say(f"the farm “{config.farm_name}” is at {where}.")
    if options.invite:
        session.write_code(config, Path(options.invite))
        say(f"a join code for one Mac is in {options.invite}; carry it there.")
    else:
        say("`sfumato farm invite` prints a join code for another Mac.")
    return _be(config)


def _join(options: argparse.Namespace) -> int:
    _need()
    from gui.farm import session
    from gui.farm.config import load

    code = options.code
    if code == "-":
        code = sys.stdin.read()
    elif options.file:
        code = session.read_code(Path(options.file))
    config = load()
    if config is not None and not code:
        config = session.go_on(config, options.bring)
    if config is None or code:
        if not code:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "Joining takes a code; make one with `sfumato farm invite` on the Mac that started "
                "the farm, and give it with --code or --file.",
            )
        config = session.joined(
            code, options.name, address=options.address, draws=not options.no_draw,
            found=not options.no_bonjour, brings=options.bring or 0,
        )  # fmt: skip
        say(f"joined the farm “{config.farm_name}”.")
    return _be(config)


def _be(config: Config) -> int:
    from gui.farm import session

    return session.be(config, say)


def _invite(_options: argparse.Namespace) -> int:
    _need()
    from gui.farm import session

    print(session.new_code(session.present()))
    return 0


def _status(options: argparse.Namespace) -> int:
    _need()
    import json

    from gui.farm import session

    state = session.state_of(session.present())
    if options.json:
        print(json.dumps(state.to_json()))
        return 0
    print("\n".join(_lines(state)))
    return 0


def _lines(state: wire.State) -> list[str]:
    """A farm in lines of text."""
    from gui.farm.wire import named

    lines = [f"{state.farm}: {words.plural(state.waiting, 'picture')} in line"]
    for seat in state.seats:
        what = _STATES.get(seat.state, seat.state)
        if seat.steps and seat.state == "drawing":
            what += f" step {seat.step} of {seat.steps}: {words.quoted(seat.prompt, 40)}"
        speed = f", {seat.minutely:.1f} pictures a minute" if seat.minutely else ""
        made = f", {words.plural(seat.pictures, 'picture')} made" if seat.pictures else ""
        lines.append(f"  {words.plain(seat.name):<20} {what}{speed}{made}")
    for offer in state.offers:
        size = words.size(offer.bytes)
        name, mac = words.plain(offer.model_name), words.plain(offer.member_name)
        what = named(offer.kind, name)
        if offer.state == "copying":
            how = words.progress(offer.done, offer.bytes)
            lines.append(f"  {words.capital(what)} is being copied to {mac}: {how}")
        elif offer.source or offer.repo:
            hub = "" if offer.source else " --from-hub"
            lines.append(
                f"  {mac} lacks {what} ({size}); copy it: sfumato farm copy '{name}' '{mac}'{hub}"
            )
        if offer.error:
            lines.append(f"    {offer.error}")
    return [*lines, *(f"  {remark}" for remark in state.remarks)]


def _copy(options: argparse.Namespace) -> int:
    _need()
    from gui.farm import session

    how = "fetch" if options.from_hub else "copy"
    offer = session.allow(session.present(), options.model, options.mac, how)
    say(f"“{offer.model_name}” is being copied to {offer.member_name}; `sfumato farm status` says "
        "how far it is.")  # fmt: skip
    return 0


def _remove(options: argparse.Namespace) -> int:
    _need()
    from gui.farm import session

    name = session.remove(session.present(), options.mac)
    say(f"“{words.plain(name)}” is in the farm no more; it makes its pictures itself again.")
    return 0


def _stop(_options: argparse.Namespace) -> int:
    _need()
    from gui.farm import session

    config = session.present()
    session.stop(config)
    again = "start" if config.starts else "join"
    say(f"the farm is stopped on this Mac, which makes its pictures itself; `sfumato farm {again}` "
        "goes on.")  # fmt: skip
    return 0


def _leave(_options: argparse.Namespace) -> int:
    _need()
    from gui.farm import session

    name = session.leave(session.present())
    say(f"left the farm “{name}”; this Mac makes its pictures itself again.")
    return 0
