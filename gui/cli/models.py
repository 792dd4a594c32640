"""`sfumato models`: find models on the Hub, get them, look after them, without the window."""

from __future__ import annotations

import argparse
import getpass
import json
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

from gui import words
from gui.cli import alfred
from gui.cli.options import add_verbose
from gui.cli.progress import say
from gui.coreml.model import Attention, Family
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import ModelKind, SearchQuery, Sort
from gui.names import token_page

if TYPE_CHECKING:
    from gui.hub.catalog.catalog import Catalog

_NONE = "No model is installed yet; find one with `sfumato models search`."
_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


def add_parser(commands: Any) -> None:
    """Add the command and its own commands to `sfumato`."""
    models = commands.add_parser(
        "models",
        help="find, get, list, check and remove models",
        description="Find models on the Hugging Face Hub, get them, and look after them.",
        allow_abbrev=False,
    )
    inner = models.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _search_parser(inner)
    show = _add(inner, "show", _show, "say what can be had of a model, and what runs here")
    show.add_argument("repo", metavar="REPO", help="owner/name, or its address on the Hub")
    show.add_argument("--revision", default="", metavar="REV", help="default: the newest")
    show.add_argument("--quick", action="store_true", help="judge by names and sizes alone")
    get = _add(
        inner,
        "get",
        _get,
        "download a model, ControlNet or LoRA, or go on with an interrupted download",
    )
    get.add_argument("repo", metavar="REPO", help="owner/name, or its address on the Hub")
    get.add_argument("--variant", default="", metavar="ID",
                     help="as `show` lists them; default: the recommended one")  # fmt: skip
    get.add_argument("--revision", default="", metavar="REV", help="default: the newest")
    get.add_argument("--quiet", action="store_true", help="no progress")
    listing = _add(
        inner,
        "list",
        _list,
        "list models, ControlNets, LoRAs, what is unfinished, and kept checkpoints",
    )
    listing.add_argument("--updates", action="store_true", help="ask the Hub for newer ones")
    alfred.add_option(listing)
    verify = _add(inner, "verify", _verify, "compare a model's files with what the Hub has")
    _model_arguments(verify, several=True)
    verify.add_argument("--repair", action="store_true", help="fetch bad files again")
    verify.add_argument("--quiet", action="store_true", help="no progress")
    remove = _add(
        inner,
        "remove",
        _remove,
        "delete a model, unfinished download or conversion, or kept checkpoint",
    )
    _model_arguments(remove)
    remove.add_argument("--yes", "-y", action="store_true", help="do not ask")
    _add(inner, "login", _login, "keep an access token, typed or piped in, in the keychain")
    _add(inner, "logout", _logout, "take the token out of the keychain")
    _add(inner, "whoami", _whoami, "say who is signed in")


def _add(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_verbose(parser)
    parser.set_defaults(run=run, parser=parser)
    return parser


def _model_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    more: dict[str, Any] = {"nargs": "?", "default": ""} if several else {}
    text = "owner/name, or the model's folder" + ("; default: all" if several else "")
    parser.add_argument("model", metavar="MODEL", help=text, **more)
    parser.add_argument("--variant", default="", metavar="ID",
                        help="which one, where several are installed; see `list`")  # fmt: skip


# Search


def _search_parser(commands: Any) -> None:
    parser = _add(commands, "search", _search, "find models on the Hub")
    add = parser.add_argument
    add(
        "text",
        nargs="*",
        metavar="WORD",
        help="words of the name, or owner/name, or an address on the Hub; default: all models",
    )
    add("--author", default="", metavar="NAME", help="for example apple or coreml-community")
    add("--sort", choices=[s.value for s in Sort], default="likes", help="default: likes")
    add("--family", action="append", default=[],
        choices=[f.value for f in Family if f != "unknown"],
        help="this and the next three may be given several times")  # fmt: skip
    add("--kind", action="append", default=[], choices=[k.value for k in ModelKind],
        help="what it is for")  # fmt: skip
    add("--attention", action="append", default=[],
        choices=[a.value for a in Attention if a != "unknown"],
        help="original suits the GPU, the split ones the Neural Engine")  # fmt: skip
    add("--compression", action="append", default=[], choices=["none", "palette", "linear"],
        help="how the UNet's weights are stored")  # fmt: skip
    add("--max-size", type=_size, default=0, metavar="SIZE", help="of the download, e.g. 2.5GB")
    add("--fits", action="store_true", help="only what runs on this machine")
    add("--licence", "--license", default="", metavar="TAG", help="e.g. creativeml-openrail-m")
    add("--limit", type=_positive, default=30, metavar="N", help="results; default: 30")


def _size(text: str) -> int:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", text.lower())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 2.5GB")
    return int(float(match[1]) * _UNITS[match[2]])


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _query(options: argparse.Namespace) -> SearchQuery:
    return SearchQuery(
        text=" ".join(options.text),
        author=options.author,
        sort=Sort(options.sort),
        families=tuple(Family(f) for f in options.family),
        kinds=tuple(ModelKind(k) for k in options.kind),
        attentions=tuple(Attention(a) for a in options.attention),
        compressions=tuple(options.compression),
        max_bytes=options.max_size,
        fits=options.fits,
        licence=options.licence,
    )


def _search(options: argparse.Namespace) -> int:
    from gui.cli import models_text
    from gui.cli.models_hub import results

    found = []
    said: list[str] = []

    def on_stale(fetched: str) -> None:
        if not said:
            when = f"of {fetched[:10]}" if fetched else "from before"
            said.append(f"The Hub cannot be reached; only results {when} are known.")
            say(said[0])

    for model in results(_catalog(), _query(options), options.limit, on_stale):
        found.append(model)
        if not options.json:
            print(models_text.result_line(model), flush=True)
    if options.json:
        print(json.dumps([m.to_json() for m in found], indent=1, ensure_ascii=False))
    elif not found:
        say("No model was found; try other words or fewer filters.")
    return 0


# One repository


def _show(options: argparse.Namespace) -> int:
    from gui.cli import models_text
    from gui.cli.models_hub import details_at

    found = details_at(_catalog(), options.repo, options.revision, probe=not options.quick)
    if options.json:
        print(json.dumps(found.to_json(), indent=1, ensure_ascii=False))
    else:
        print("\n".join(models_text.details_lines(found)))
    return 0


def _get(options: argparse.Namespace) -> int:
    from gui.cli.models_hub import details_at, fetch, half_fetched

    catalog = _catalog()
    progress = _progress(options)
    progress.text(f"asking the Hub for {options.repo}")
    found = details_at(catalog, options.repo, options.revision)
    chosen = found.variant(options.variant) if options.variant else found.recommended
    # The verdict does not know what is on the disk already of the room that it asks for.
    going_on = half_fetched(found) if chosen is None and not options.variant else None
    chosen = chosen or going_on
    progress.clear()
    if chosen is None:
        raise _no_variant(found, options.variant)
    if chosen.verdict.level == "no" and chosen.verdict.reasons and not going_on:
        say(chosen.verdict.reasons[0])
    again = f"sfumato models get {found.summary.id}"
    if options.variant:
        again += f" --variant {shlex.quote(options.variant)}"
    if options.revision:
        again += f" --revision {shlex.quote(options.revision)}"
    status = fetch(
        lambda downloads: downloads.start(
            found.summary.id, found.revision, chosen, title=found.summary.name, about=found
        ),
        catalog, progress, again, found.summary.remembered,
    )  # fmt: skip
    if status is None:
        return 130
    print(json.dumps(status.to_json(), ensure_ascii=False) if options.json else status.folder)
    return 0


def _no_variant(found: Any, variant: str) -> SfumatoError:
    repo = found.summary.id
    if variant and found.variants:
        known = ", ".join(v.id for v in found.variants)
        return SfumatoError(
            ErrorKind.NOT_FOUND, f"“{repo}” has no variant {variant}; choose one of {known}."
        )
    usable = [v.id for v in found.variants if v.verdict.level != "no"]
    if not variant and usable:
        return SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{repo}” offers several; choose with --variant: {', '.join(usable)}.",
        )
    why = [*(v.verdict.reasons[0] for v in found.variants[:1] if v.verdict.reasons), *found.notes]
    reason = why[0] if why else "There are no Core ML models among its files."
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"{reason} “{repo}” has no variant for {words.COMPUTER}; look for another model.",
    )


# Installed models


def _list(options: argparse.Namespace) -> int:
    from gui.cli import models_text
    from gui.cli.models_hub import UpdateReport, conversions, library, under_way, updates
    from gui.files import disk_bytes
    from gui.library.models.leftovers import kept_sources

    downloads = under_way()  # first: what ends meanwhile is then among the models
    models, unfinished = library()
    known = {status.id for status in unfinished}
    downloads = (*unfinished, *(d for d in downloads if d.id not in known))
    begun = [(each, disk_bytes(each.folder)) for each in conversions()]
    kept = [source for source in kept_sources() if source.checkpoint]
    asked = updates(_catalog(), models) if options.updates else UpdateReport()
    if options.alfred:
        items = [alfred.model(model) for model in models]
        alfred.tell(items or [alfred.nothing(_NONE)])
    elif options.json:
        rows = [{**m.to_json(),
                 **({"update": asked.newer[m.folder]} if m.folder in asked.newer else {}),
                 **({"update_problem": asked.closed[m.folder].message}
                    if m.folder in asked.closed else {})}
                for m in models]  # fmt: skip
        data = {"models": rows, "downloads": [d.to_json() for d in downloads],
                "conversions": [
                    {"name": each.title, "folder": str(each.folder), "bytes": size}
                    for each, size in begun
                ],
                "checkpoints": [source.to_json() for source in kept]}  # fmt: skip
        print(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        for model in models:
            print(models_text.installed_line(model, asked.newer.get(model.folder, "")))
            if model.folder in asked.closed:
                print(f"    {words.plain(asked.closed[model.folder].message)}")
        for status in downloads:
            print(models_text.unfinished_line(status))
        for each, size in begun:
            print(models_text.conversion_line(each.title, size, str(each.folder)))
        for source in kept:
            print(models_text.checkpoint_line(source))
        if not models and not downloads and not begun:
            say(_NONE)
    if asked.offline is not None:  # after the list, which does not need the Hub
        if not options.json:
            raise asked.offline
        say(asked.offline.message)  # on stdout is one object, and nothing after it
        return 1
    return 0


def _verify(options: argparse.Namespace) -> int:
    from gui.cli.models_hub import chosen_models, repair_model, verify_model

    progress = _progress(options)
    good = True
    report = []
    for model in chosen_models(options.model, options.variant, or_all=True):
        problems = verify_model(model, progress)
        repaired = False
        if problems and options.repair:
            status = repair_model(model, problems, _catalog(), progress)
            if status is None:
                return 130
            repaired = True
            problems = verify_model(model, progress)
        good = good and not problems
        report.append(
            {
                "folder": model.folder,
                "problems": [p.to_json() for p in problems],
                "repaired": repaired,
            }
        )
        if not options.json:
            state = "repaired" if repaired and not problems else "whole" if not problems else "BAD"
            print(f"{state:<9} {model.folder}")
            for problem in problems:
                print(f"    {problem.what:<8} {problem.path}")
    if options.json:
        print(json.dumps(report, indent=1, ensure_ascii=False))
    elif not report:
        say("No model from the Hub is installed.")
    return 0 if good else 1


def _remove(options: argparse.Namespace) -> int:
    from gui.cli.models_hub import to_remove

    chosen = to_remove(options.model, options.variant)
    if not options.yes:
        if not sys.stdin.isatty():
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, "Nothing was deleted; say --yes to delete without asking."
            )
        question = f"Delete {chosen.title} ({words.size(chosen.bytes)})? [y/N] "
        print(question, end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            say("Nothing was deleted.")
            return 1
    chosen.remove()
    done = {"removed": str(chosen.folder), "bytes": chosen.bytes}
    print(json.dumps(done) if options.json else chosen.folder)
    return 0


# The account


def _login(options: argparse.Namespace) -> int:
    """The token is typed or piped in: a command line can be read by every other program."""
    from gui.hub.account import save_token
    from gui.hub.catalog.catalog import Catalog

    if sys.stdin.isatty():
        say(f"Make a token with read permission at {token_page()}.")
        try:
            token = getpass.getpass("Token: ", stream=sys.stderr).strip()
        except EOFError:  # Ctrl-D
            token = ""
            print(file=sys.stderr)
    else:
        token = sys.stdin.readline().strip()
    account = Catalog(token=token).whoami()
    if not account.signed_in:
        raise SfumatoError(
            ErrorKind.ACCESS, account.problem or "No token was given; type or paste one."
        )
    save_token(token)
    return _print_account(options, {**account.to_json(), "source": "keychain"})


def _logout(options: argparse.Namespace) -> int:
    from gui.hub.account import forget_token, load_token

    forget_token()
    _, source = load_token()
    if source:
        say(f"A token in the {source} remains; Sfumato did not put it there.")
    if options.json:
        print(json.dumps({"signed_in": bool(source), "source": source}))
    return 0


def _whoami(options: argparse.Namespace) -> int:
    from gui.hub.account import load_token
    from gui.hub.catalog.catalog import Catalog

    token, source = load_token()
    account = Catalog(token=token).whoami()
    if account.problem:
        raise SfumatoError(ErrorKind.ACCESS, account.problem, source)
    return _print_account(options, {**account.to_json(), "source": source})


def _print_account(options: argparse.Namespace, account: dict[str, Any]) -> int:
    if options.json:
        print(json.dumps(account))
    elif account["signed_in"]:
        print(f"{account['name']}  (token from the {account['source']})")
    else:
        print("Not signed in.")
    return 0 if account["signed_in"] else 1


# Shared


def _catalog() -> Catalog:
    from gui.cli.models_hub import open_catalog

    return open_catalog()


def _progress(options: argparse.Namespace) -> Any:
    from gui.cli.progress import ProgressLine

    return ProgressLine(sys.stderr, 1, quiet=options.quiet)
