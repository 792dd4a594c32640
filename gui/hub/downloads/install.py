"""From verified files to something whole: a model in the library, a checkpoint, a mended model."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import errno
import fcntl
import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from gui.coreml import sidecar as sidecars
from gui.coreml.model import Family
from gui.coreml.names import is_package_name
from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads import archive
from gui.hub.downloads.plan import FOLDER, Plan, WorkFolder
from gui.hub.downloads.spans import open_parts
from gui.library.models.origin import MANIFEST

_SMALL = 1 << 20


def prune(folder: Path, keep: set[str]) -> None:
    """Remove files that do not belong to the result (an older plan's) and empty folders."""
    for base, folders, files in os.walk(folder, topdown=False):
        for name in files:
            path = Path(base, name)
            if path.relative_to(folder).as_posix() not in keep:
                path.unlink()
        for name in folders:
            with contextlib.suppress(OSError):
                Path(base, name).rmdir()


def unpack(
    plan: Plan, work: WorkFolder, on_bytes: Callable[[int], None], stopped: Callable[[], bool]
) -> dict[str, tuple[int, str]] | None:
    """Unpack the downloaded archive beside itself.

    Returns:
        size and SHA-256 by path, or None where `stopped` said so.

    Raises:
        SfumatoError: BAD_MODEL for an archive that is damaged, hostile or holds no model.
        OSError: the disk is full …
    """
    shutil.rmtree(work.unpacked, ignore_errors=True)
    name = plan.variant.files[0].path.rpartition("/")[2]
    with archive.translated(name), _archive(plan, work) as source:
        found = archive.unpack(
            source, work.unpacked, plan.variant.inside, on_bytes=on_bytes, stopped=stopped
        )
    if found is None:
        shutil.rmtree(work.unpacked, ignore_errors=True)
    elif not any(is_package_name(path.split("/")[0]) for path in found):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The archive “{name}” does not hold one Core ML model, so it cannot be "
            "installed; choose another variant.",
            ", ".join(sorted({path.split("/")[0] for path in found})[:10]),
        )
    return found


def unpacked_bytes(plan: Plan, work: WorkFolder) -> int:
    """What a downloaded archive says that the wanted files in it take; 0 where it cannot be
    read."""
    try:
        with _archive(plan, work) as source:
            return archive.declared_bytes(source, plan.variant.inside)
    except OSError:
        return 0


def _archive(plan: Plan, work: WorkFolder) -> IO[bytes]:
    """The downloaded archive, or what was fetched of it."""
    file = plan.variant.files[0]
    return open_parts(work.model / plan.local_path(file), plan.layout(file))


def write_sidecar(
    folder: Path, plan: Plan, files: dict[str, tuple[int, str]], settings: dict[str, Any]
) -> None:
    """Write `sfumato.json`: where the model comes from and what its files are.

    Fields that are not known (prediction type, scheduler …) are left out, so that they are
    inferred from the files, unless `settings` has them.  A sidecar that came with the model keeps
    what it states.

    Args:
        folder: the model, complete.
        plan: what was fetched.
        files: size and SHA-256 by path.
        settings: sidecar fields learned elsewhere (`gui.hub.downloads.settings`).

    Raises:
        SfumatoError: STORAGE.
    """
    shipped = _shipped(folder)
    # A note that came along is about to be rewritten, so its hash means nothing later.
    files = {path: facts for path, facts in files.items() if path != sidecars.FILE_NAME}
    stated: dict[str, Any] = {**settings, **shipped}
    sidecar = sidecars.Sidecar.from_json(
        {
            **stated,
            "family": stated.get("family") or _family(plan, folder),
            "name": stated.get("name") or plan.title or plan.repo.partition("/")[2],
            "source_repo": plan.repo,
            "source_revision": plan.revision,
            "card": _card(plan, stated),
            "hashes": {path: sha256 for path, (_, sha256) in sorted(files.items())},
            "extra": {**stated.get("extra", {}), "hub": _origin(plan, files)},
        }
    )
    ours = {"family", "name", "source_repo", "source_revision", "card", "hashes", "extra"}
    sidecars.write(folder, sidecar, fields=ours | set(stated))


def _shipped(folder: Path) -> dict[str, Any]:
    """What a `sfumato.json` from the repository states; nothing where it makes no sense."""
    try:
        found = sidecars.read_stated(folder)
    except SfumatoError:
        return {}
    if found is None:
        return {}
    sidecar, fields = found
    data = sidecar.to_json()
    return {k: v for k, v in data.items() if k in fields and k not in ("hashes", "format")}


def _family(plan: Plan, folder: Path) -> str:
    if plan.variant.family is not Family.UNKNOWN:
        return plan.variant.family.value
    from gui.coreml import inspect

    try:
        return inspect.inspect_model(folder).family.value
    except SfumatoError:
        return Family.UNKNOWN.value


def _card(plan: Plan, stated: dict[str, Any]) -> dict[str, Any]:
    card = dict(stated.get("card", {}))
    card["licence"] = card.get("licence") or plan.about.licence
    card["description"] = card.get("description") or plan.about.description
    card["examples"] = list(card.get("examples") or plan.about.examples)
    return card


def _origin(plan: Plan, files: dict[str, tuple[int, str]]) -> dict[str, Any]:
    """What verifying, repairing and updating need to know."""
    variant = plan.variant
    return {
        "variant": variant.id,
        "title": variant.title,
        "folder": variant.folder,
        "archive": variant.archive,
        "spans": [span.to_json() for span in variant.spans],
        "inside": list(variant.inside),
        "kind": variant.kind.value,
        "base_model": plan.about.base_model,
        "triggers": list(plan.about.triggers),
        "remote": [file.to_json() for file in variant.files],
        "sizes": {path: size for path, (size, _) in sorted(files.items())},
        "installed": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def write_manifest(folder: Path, plan: Plan) -> None:
    """Say in a fetched checkpoint where it came from.

    Raises:
        OSError: the folder cannot be written.
    """
    data = {
        "repo": plan.repo,
        "revision": plan.revision,
        "files": {plan.local_path(file): file.size for file in plan.variant.files},
    }
    (folder / MANIFEST).write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


def flush(folder: Path) -> None:
    """Have the system put every file of a folder on the disk, so that a power failure after the
    rename cannot leave a model with holes.

    A Mac's ``fsync`` hands a file to the drive, which takes its time; ``F_FULLFSYNC``, once, has
    the drive write down all it was handed (Apple's ``fcntl(2)``).  Elsewhere large files are synced
    one by one, and the small ones together, as asking for each costs milliseconds.
    """
    full = getattr(fcntl, "F_FULLFSYNC", None)
    last, small = "", False
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)  # noqa: PTH118 - there may be thousands
            if full is None and os.lstat(path).st_size < _SMALL:
                small = True
            else:
                _with_file(path, os.fsync)
                last = path
    if small:
        os.sync()
    if full is not None and last:
        with contextlib.suppress(OSError):  # disks that cannot
            _with_file(last, lambda fd: fcntl.fcntl(fd, full))


def _with_file(path: str, act: Callable[[int], object]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        act(fd)
    finally:
        os.close(fd)


def move_into_place(source: Path, target: Path, root: Path) -> None:
    """Make the finished folder `source` appear as `target` in one step.

    Where there was one before, the two change places, if the disk can do that; else the old one is
    set aside first.  What remains of the old one is removed.

    Raises:
        OSError: it cannot be moved; the old folder is where it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        _rename(source, target)
        return
    if exchange(source, target):
        shutil.rmtree(source, ignore_errors=True)
        return
    name = f"old-{uuid.uuid4().hex[:12]}"
    if root in target.parents:
        # Three levels down, where the library does not look for models.
        litter = root / FOLDER / name
        aside = litter / "model"
    else:
        litter = aside = target.with_name(f".{target.name}.{name}")
    aside.parent.mkdir(parents=True, exist_ok=True)
    _rename(target, aside)
    try:
        _rename(source, target)
    except OSError:
        _rename(aside, target)
        shutil.rmtree(litter, ignore_errors=True)
        raise
    shutil.rmtree(litter, ignore_errors=True)


_EXCHANGE = 2
"""``RENAME_SWAP`` of macOS's ``renamex_np(2)``, ``RENAME_EXCHANGE`` of Linux's ``renameat2(2)``."""
_AT_FDCWD = -100
"""Linux's number for the current folder."""


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where the system or the disk cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        library.renamex_np.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
        return library.renamex_np(first, second, _EXCHANGE) == 0
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        text = ctypes.c_char_p
        library.renameat2.argtypes = (ctypes.c_int, text, ctypes.c_int, text, ctypes.c_uint)
        return library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _EXCHANGE) == 0
    return False


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another disk (checkpoints go to the caches): copy beside, then rename there.
        beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        try:
            _copy_folder(source, beside)
            flush(beside)
            beside.rename(target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(source, ignore_errors=True)


def _copy_folder(source: Path, target: Path) -> None:
    """`shutil.copytree`, of which the first error comes out as it was, with its number."""
    first: list[OSError] = []

    def copy(one: str, other: str) -> None:
        if first:
            return
        try:
            shutil.copy2(one, other)
        except OSError as error:
            first.append(error)

    shutil.copytree(source, target, copy_function=copy)
    if first:
        raise first[0]


def swap_files(source: Path, target: Path, paths: list[str]) -> None:
    """Put mended files in place of bad ones, each in one step.

    Raises:
        OSError: a file cannot be moved.
    """
    for path in paths:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            (source / path).replace(target / path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # The model lies on another disk, behind a link: copy beside, then rename there.
            beside = (target / path).with_name(f".{uuid.uuid4().hex}")
            try:
                shutil.copyfile(source / path, beside)
                _with_file(str(beside), os.fsync)
                beside.replace(target / path)
            finally:
                beside.unlink(missing_ok=True)
