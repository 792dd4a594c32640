"""`sfumato history`: the pictures there are, on the window's own index; both may run at once."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from gui import words
from gui.cli import alfred, json_lines
from gui.cli.metadata import told
from gui.cli.progress import ProgressLine, say
from gui.errors import ErrorKind, SfumatoError
from gui.files import checked, is_folder
from gui.library.export.forms import (
    DEFAULT_NAME,
    FORMS,
    MAX_LONGEST,
    MAX_SCALE,
    MIN_SCALE,
    ExportOptions,
    PictureForm,
    form_of,
)
from gui.library.export.naming import FIELDS, check_template
from gui.library.picture_index import (
    IndexedPicture,
    PictureFilter,
    PictureIndex,
    PictureKind,
)
from gui.scheduler_names import scheduler_name

_LIMIT = 50


def add_parser(commands: Any) -> None:
    """Add the command and its own commands to `sfumato`."""
    history = commands.add_parser(
        "history",
        help="find, show, export and mark pictures",
        description="Find the pictures that were made or kept, show what made them, export and "
        "mark them.  The window may be open.",
        allow_abbrev=False,
    )
    inner = history.add_subparsers(title="commands", metavar="COMMAND", required=True)
    search = _add(inner, "search", _search, "find pictures, the newest first")
    _add_filters(search)
    search.add_argument(
        "--limit",
        type=int,
        default=_LIMIT,
        metavar="N",
        help=f"at most so many; 0: all; default: {_LIMIT}",
    )
    search.add_argument("--paths", action="store_true", help="print paths alone")
    alfred.add_option(search)
    show = _add(inner, "show", _show, "say what made a picture")
    _add_pictures(show, "+")
    export = _add(inner, "export", _export, "write pictures in another form, size and name")
    _add_pictures(export, "*")
    _add_filters(export)
    _add_export(export)
    favourite = _add(inner, "favourite", _favourite, "mark pictures as favourites")
    _add_pictures(favourite, "+")
    favourite.add_argument("--off", action="store_true", help="take the mark away")


def _add(inner: Any, name: str, run: Any, text: str) -> Any:
    parser = inner.add_parser(
        name, help=text, description=f"{words.capital(text)}.", allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON per picture")
    parser.set_defaults(run=run, parser=parser)
    return parser


def _add_pictures(parser: Any, number: str) -> None:
    parser.add_argument(
        "pictures",
        metavar="PICTURE",
        nargs=number,
        help="a file, or a picture's number as `history search` tells it",
    )


def _add_filters(parser: Any) -> None:
    add = parser.add_argument
    add(
        "--words" if parser.prog.endswith("export") else "words",
        default="",
        metavar="WORDS",
        **({} if parser.prog.endswith("export") else {"nargs": "?"}),
        help='words that occur in prompt or settings; "…" keeps words together, -word leaves '
        "pictures out",
    )
    add("--model", default="", metavar="NAME", help="made with this model")
    add("--scheduler", default="", metavar="NAME", help="made with this scheduler")
    add("--since", type=_day, metavar="DAY", help="from this day on: 2026-05-04, today, yesterday")
    add("--until", type=_day, metavar="DAY", help="up to this day, which counts")
    add("--tag", default="", metavar="TAG", help="with this tag")
    add("--kind", choices=[kind.value for kind in PictureKind], help="made here, or imported")
    add("--favourites", action="store_true", help="favourites alone")


def _add_export(parser: Any) -> None:
    add = parser.add_argument
    add(
        "-o",
        "--output",
        default="",
        metavar="FILE|DIR",
        help="a folder; of one picture also a file, replaced if it exists; default: here",
    )
    add(
        "--form",
        choices=[form.value for form in PictureForm],
        help="default: what the file's ending says, else png",
    )
    add(
        "--quality", type=int, default=90, metavar="N", help="of lossy forms, 1 to 100; default: 90"
    )
    add(
        "--longest",
        type=int,
        default=0,
        metavar="PIXELS",
        help=f"scale the longest edge to this, up to {MAX_LONGEST}",
    )
    add(
        "--scale",
        type=float,
        default=1.0,
        metavar="X",
        help=f"scale by this factor, {MIN_SCALE:g} to {MAX_SCALE:g}",
    )
    fields = ", ".join("{" + name + "}" for name in FIELDS)
    add(
        "--name",
        default=DEFAULT_NAME,
        metavar="TEMPLATE",
        help=f"the files' names, of {fields}; default: {DEFAULT_NAME}",
    )
    add(
        "--without-settings",
        action="store_true",
        help="leave out everything that says what made the picture, and that a model did",
    )
    add(
        "--content-credentials",
        action="store_true",
        help="sign with a certificate made on this computer: it shows that the file was not "
        "changed since, not who made it",
    )
    add("--quiet", action="store_true", help="no progress")


def _day(text: str) -> date:
    today = date.today()
    named = {"today": today, "yesterday": today - timedelta(days=1)}
    try:
        return named.get(text.casefold()) or date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be a day such as 2026-05-04, today or yesterday, not {text!r}"
        ) from error


# -- the index -------------------------------------------------------------------------------


@contextlib.contextmanager
def opened_index() -> Iterator[PictureIndex]:
    """`at_once.opened_index`, told on the terminal."""
    from gui.state.pictures import at_once

    progress = ProgressLine(sys.stderr, 1)

    def tell(read: int) -> None:
        if read:
            progress.text(f"reading pictures: {words.count(read)}")

    with at_once.opened_index(tell) as index:
        progress.clear()
        if index.notice:
            say(index.notice)
        yield index


def _wanted(options: argparse.Namespace) -> PictureFilter:
    return PictureFilter(
        text=options.words,
        model=options.model,
        scheduler=scheduler_name(options.scheduler).name if options.scheduler else "",
        since=options.since,
        until=options.until,
        favourites=options.favourites,
        kind=PictureKind(options.kind) if options.kind else None,
        tag=options.tag,
    )


def _indexed(index: PictureIndex, text: str) -> IndexedPicture | None:
    """A picture by its file or its number; None for a file that is not in the index.

    Raises:
        SfumatoError: BAD_REQUEST for a number or a file that there is not.
    """
    if text.isascii() and text.isdigit() and not Path(text).exists():
        found = index.rows([int(text)]) if len(text) < 18 else []
        if not found:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"There is no picture {text}; look with `sfumato history search`.",
            )
        return found[0]
    path = checked(text)
    if not path.is_file():
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{text}” is not there; give a picture's file, or its number in `history search`.",
        )
    return index.by_path(str(path)) or index.by_path(os.path.realpath(path))


def _as_json(picture: IndexedPicture) -> dict[str, Any]:
    from gui.state.pictures import at_once

    return at_once.as_json(picture)


# -- the commands ----------------------------------------------------------------------------


def _search(options: argparse.Namespace) -> int:
    with opened_index() as index:
        ids = index.find(_wanted(options)).ids
        shown = ids[: options.limit] if options.limit > 0 else ids
        items: list[alfred.Item] = []
        for start in range(0, len(shown), 500):
            for picture in index.rows(shown[start : start + 500]):
                if options.alfred:
                    items.append(alfred.picture(picture))
                elif options.json:
                    print(json.dumps(_as_json(picture)))
                elif options.paths:
                    print(picture.path)
                else:
                    print(_line(picture))
    if options.alfred:
        alfred.tell(items or [alfred.nothing("No picture fits.")])
    elif len(shown) < len(ids):
        say(f"{words.count(len(ids) - len(shown))} more; --limit 0 shows all.")
    elif not ids:
        say("No picture fits.")
    return 0


def _line(picture: IndexedPicture) -> str:
    facts = picture.facts
    moment = datetime.fromtimestamp(facts.created).strftime("%Y-%m-%d %H:%M")
    mark = "★" if picture.favourite else " "
    what = words.shortened(" ".join(facts.prompt.split()), 60) or Path(facts.path).name
    seed = "" if facts.seed is None else f"seed {facts.seed}"
    said = "  ".join(part for part in (facts.model, seed) if part)
    return f"{picture.id:>7} {mark} {moment}  {what}\n          {said}  {facts.path}"


def _show(options: argparse.Namespace) -> int:
    from gui.library.picture_origin import read_origin

    with opened_index() as index:
        for number, text in enumerate(options.pictures):
            picture = _indexed(index, text)
            path = Path(picture.path) if picture is not None else checked(text)
            origin = read_origin(path)
            if options.json:
                known = _as_json(picture) if picture is not None else {"path": str(path)}
                record = origin.record.to_json() if origin.record is not None else None
                print(json.dumps({**known, "record": record}))
                continue
            if number:
                print()
            print(path)
            rows = list(told(origin)) or [("", "It does not say what made it.")]
            if picture is not None:
                rows += [("Favourite", "yes")] if picture.favourite else []
                rows += [("Tags", ", ".join(picture.tags))] if picture.tags else []
            for name, value in rows:
                print(f"  {name:<18} {value.replace(chr(10), chr(10) + ' ' * 21)}")
    return 0


def _favourite(options: argparse.Namespace) -> int:
    with opened_index() as index:
        found = [(text, _indexed(index, text)) for text in options.pictures]
        for text, picture in found:
            if picture is None:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    f"“{text}” does not lie in your pictures folder, where marks are kept; "
                    "copy it there first.",
                )
        ids = [picture.id for _, picture in found if picture is not None]
        index.marks.set_favourite(ids, not options.off)
        for picture in index.rows(ids):
            print(json.dumps(_as_json(picture)) if options.json else picture.path)
    return 0


def _export(options: argparse.Namespace) -> int:
    from gui.library.export.writing import export_picture, save_as

    wanted = _wanted(options)
    if options.content_credentials and options.without_settings:
        options.parser.error("--content-credentials tell that a model made the picture; "
                             "leave out --without-settings")  # fmt: skip
    if not options.pictures and wanted == PictureFilter():
        options.parser.error("say which pictures: files, numbers, or --words, --tag, --since …")
    with opened_index() as index:
        if options.pictures:
            found = [(text, _indexed(index, text)) for text in options.pictures]
            sources = [Path(p.path) if p is not None else checked(text) for text, p in found]
        else:
            sources = [Path(p.path) for p in index.rows(index.find(wanted).ids)]
    target = checked(options.output or ".")
    exact = bool(target.suffix) and not is_folder(target) and not options.output.endswith(os.sep)
    if exact and len(sources) != 1:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{target.name}” is one file and the pictures are {len(sources)}; give a folder.",
        )
    how = _options(options, target if exact else None)
    target.parent.mkdir(parents=True, exist_ok=True)
    progress = ProgressLine(sys.stderr, len(sources), quiet=options.quiet)
    code = 0
    for number, source in enumerate(sources, 1):
        if len(sources) > 1:
            progress.bar((number - 1) / len(sources), f"{number} of {len(sources)}")
        try:
            made = (
                save_as(source, target, how)
                if exact
                else export_picture(source, target, how, number, len(sources))
            )
        except SfumatoError as error:
            progress.clear()
            say(error.message)
            if options.json:
                json_lines.tell_error(error, source=str(source))
            code = 1
            continue
        progress.clear()
        if made.note:
            say(f"{made.path.name}: {made.note}")
        told_ = {"source": str(source), "path": str(made.path)}
        print(json.dumps(told_) if options.json else made.path, flush=True)
    if not sources:
        say("No picture fits.")
    return code


def _options(options: argparse.Namespace, target: Path | None) -> ExportOptions:
    """
    Raises:
        SfumatoError: BAD_REQUEST for a number out of range or a name that makes none.
    """
    if options.form:
        form = PictureForm(options.form)
    else:
        form = form_of(target.name) if target is not None else PictureForm.PNG
    if target is not None and form_of(target.name) is not form:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{target.name}” ends as another form than {FORMS[form].label}; "
            f"end it in {FORMS[form].suffix}, or leave out --form.",
        )
    check_template(options.name)
    return ExportOptions.checked(
        form=form,
        quality=options.quality,
        longest=options.longest,
        scale=options.scale,
        name=options.name,
        settings=not options.without_settings,
        credentials=options.content_credentials,
    )
