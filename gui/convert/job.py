"""A whole conversion, from a checkpoint to a finished model folder.

Everything is made in a work folder beside the output, ``<output>.partial``: the model in its
``model`` folder, under the names it will keep, and `journal.json`, which says what is finished.
At the end one rename puts the model in its place.  Whatever ends the process before that, the next
run with the same request goes on at the first component that is not finished; a cancel takes the
work folder away.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from gui.convert import tasks
from gui.convert.checkpoint.source import open_source
from gui.convert.client import JOURNAL, MODEL, PARTIAL_SUFFIX, partial_folder
from gui.convert.journal import ConversionJournal, Done, locked, reading
from gui.convert.memory import ran_out
from gui.convert.networks.components import (
    Contract,
    contract_adapter,
    contract_controlnet,
    contract_text_encoder,
    contract_unet,
)
from gui.convert.networks.picture_components import (
    contract_safety_checker,
    contract_vae_decoder,
    contract_vae_encoder,
    needs_float32,
)
from gui.convert.package import finish, swift
from gui.convert.package.component import Recipe, free_memory, make, peak_memory
from gui.convert.package.convert import Credits
from gui.convert.tasks import Task
from gui.convert.types import REPORT, ConvertReport, ConvertRequest, Progress, SourceInfo, Step
from gui.coreml import sidecar
from gui.coreml.model import ComponentKind
from gui.errors import Cancelled, ErrorKind, SfumatoError, disk_error

K = ComponentKind
OnProgress = Callable[[Progress], None]

TEMPORARY = "temporary"
"""Folder, within the work folder, of coremltools' own files."""

LICENCE = "As the model it was converted from"
"""The packages' metadata; a checkpoint's files do not state a licence."""

# Where a step begins and how long it is, as shares of one component's time.
_SHARES: dict[Step, tuple[float, float]] = {
    Step.READING: (0.0, 0.2),
    Step.TRACING: (0.2, 0.1),
    Step.CONVERTING: (0.3, 0.3),
    Step.CHUNKING: (0.6, 0.05),
    Step.COMPRESSING: (0.65, 0.15),
    Step.CHECKING: (0.8, 0.2),
}


class OpenCheckpoint(Protocol):
    """An open checkpoint (`gui.convert.checkpoint.source`)."""

    @property
    def info(self) -> SourceInfo: ...
    @property
    def scaling_factor(self) -> float: ...
    @property
    def shift_factor(self) -> float: ...
    @property
    def force_zeros_for_empty_prompt(self) -> bool: ...
    @property
    def takes_guidance(self) -> bool: ...
    @property
    def pad_token_ids(self) -> tuple[int, ...]: ...
    def component(self, kind: ComponentKind) -> Any: ...
    def tokenizer_files(self) -> tuple[Path, ...]: ...
    def scheduler_config(self) -> dict[str, Any]: ...
    def close(self) -> None: ...


def run(
    request: ConvertRequest,
    on_progress: OnProgress,
    cancelled: Callable[[], bool],
    source: OpenCheckpoint | None = None,
) -> ConvertReport:
    """Convert.

    Args:
        request: what to convert, and how.
        on_progress: told of every step, in this thread.
        cancelled: asked between steps and, where coremltools allows, within them.
        source: an open checkpoint to use instead of `request.source` (tests).

    Raises:
        SfumatoError: why it is refused, or what went wrong; finished components are kept.
        Cancelled: `cancelled` said yes; nothing is kept.
    """
    began = time.monotonic()
    opened = source or _open(request)
    try:
        _check(request, opened.info, source is None)
        work = partial_folder(request.output)
        with _storage_errors():
            work.mkdir(exist_ok=True)
        try:
            with locked(work), reading(_places(request)), _temporary_files_in(work / TEMPORARY):
                _check_still_free(request, work)
                job = _Job(request, opened, on_progress, cancelled, work)
                report = job.run(began)
        except Cancelled:
            shutil.rmtree(work, ignore_errors=True)
            raise
        shutil.rmtree(work, ignore_errors=True)
        return report
    finally:
        opened.close()


def _open(request: ConvertRequest) -> OpenCheckpoint:
    return open_source(request.source, request.loras, request.prediction_type, request.vae)


def _check(request: ConvertRequest, info: SourceInfo, thorough: bool) -> None:
    """Refuse what is bound to fail before any long work."""
    _check_place(request)
    if request.compiled:
        swift.check_available()
    if thorough:
        from gui.convert.estimate import check

        check(request, info)


def _check_place(request: ConvertRequest) -> None:
    from gui.convert.estimate import check_output

    check_output(request)


def _check_still_free(request: ConvertRequest, work: Path) -> None:
    """Another process may have made the model just before this one took the lock."""
    try:
        _check_place(request)
    except SfumatoError:
        if not (work / JOURNAL).exists():
            shutil.rmtree(work, ignore_errors=True)
        raise


class _Job:
    """One run, within its locked work folder."""

    def __init__(
        self,
        request: ConvertRequest,
        source: OpenCheckpoint,
        on_progress: OnProgress,
        cancelled: Callable[[], bool],
        work: Path,
    ) -> None:
        self._request = request
        self._source = source
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._work = work
        self._model = work / MODEL
        self._scratch = work / "scratch"
        self._tasks = tasks.plan(request, source.info)
        self._version = tasks.version_of(request, source.info)
        self._spent = 0.0
        self._fraction = 0.0
        self._index = 0
        self._earlier = 0.0

    def run(self, began: float) -> ConvertReport:
        fingerprint = _fingerprint(self._request)
        with _storage_errors():
            self._journal = ConversionJournal.open(self._work, self._request, fingerprint)
        try:
            with _storage_errors():
                self._model.mkdir(exist_ok=True)
                shutil.rmtree(self._scratch, ignore_errors=True)
                self._clear_strangers()
            return self._all(began)
        except SfumatoError:
            # What is finished is kept, unless it is of another source than the rest would be; half
            # of a component is of no use and may fill the disk.
            kept = self._journal.done and not self._has_changed()
            shutil.rmtree(self._scratch if kept else self._work, ignore_errors=True)
            raise

    def _clear_strangers(self) -> None:
        """Take away what no finished component accounts for: it may be of an older source."""
        known = self._known()
        for path in sorted(self._model.rglob("*"), reverse=True):  # what is in a folder before it
            if path.is_dir():
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()
            elif path.relative_to(self._model).as_posix() not in known:
                path.unlink()

    def _all(self, began: float) -> ConvertReport:
        for task in self._tasks:
            done = self._journal.done.get(task.key)
            resumed = done is not None and done.is_there(self._model)
            if not resumed:
                self._check_source()
                self._convert(task)
            self._index += 1
            self._spent += task.cost
            if resumed and done is not None:
                self._earlier += done.seconds
                self._tell(task, Step.READING, 0.0, "was finished earlier", done, resumed=True)
        return self._finish(began)

    def _convert(self, task: Task) -> None:
        started = time.monotonic()

        def tick(step: Step, fraction: float) -> None:
            if self._cancelled():
                raise Cancelled
            self._tell(task, step, fraction)

        with _errors(task.name):
            self._scratch.mkdir(exist_ok=True)
            name = task.file_name(tasks.plain_name(self._version))
            label = f"{task.folder}/{name}" if task.folder else name
            made, measured = make(
                lambda: self._contract(task), self._scratch / name, self._recipe(task), tick, label
            )
            tick(Step.CHECKING, 1.0)
            folder = self._model / task.folder
            folder.mkdir(exist_ok=True)
            files: dict[str, str] = {}
            sizes: dict[str, int] = {}
            for package in made:
                place = folder / package.name
                shutil.rmtree(place, ignore_errors=True)
                finish.to_disk(package)
                package.rename(place)
                for file in sorted(p for p in place.rglob("*") if p.is_file()):
                    relative = file.relative_to(self._model).as_posix()
                    files[relative] = finish.sha256(file)
                    sizes[relative] = file.stat().st_size
            shutil.rmtree(self._scratch)
            _empty(self._work / TEMPORARY)
            finish.link_equal(self._model, self._known(), files)
            seconds = time.monotonic() - started
            done = Done(files, sizes, measured, round(seconds, 1))
            self._journal.note(task.key, done)
        self._spent += task.cost
        self._index += 1
        self._tell(task, Step.CHECKING, 0.0, f"finished in {seconds:.0f} s", done)
        self._spent -= task.cost
        self._index -= 1

    def _known(self) -> dict[str, str]:
        """SHA-256 by path of everything finished."""
        known: dict[str, str] = {}
        for done in self._journal.done.values():
            known |= done.files
        return known

    def _recipe(self, task: Task) -> Recipe:
        request = self._request
        owner = self._version.split("/")[0]
        return Recipe(
            target=request.target,
            compression=request.compression,
            chunked=tasks.is_chunked(task, request),
            keep_whole=request.keep_whole,
            evenly=request.evenly,
            check=request.check,
            credits=Credits(
                version=self._version,
                author=owner if "/" in self._version else "",
                licence=LICENCE,
            ),
        )

    def _contract(self, task: Task) -> Contract:
        """Load a network and put it behind Apple's inputs and outputs."""
        request, info, kind = self._request, self._source.info, task.kind
        if kind is K.CONTROLNET:
            from gui.convert.checkpoint.controlnet import open_controlnet

            control = open_controlnet(Path(task.controlnet))
            if task.adapter:
                return contract_adapter(control, task.latent, tasks.plain_name(task.controlnet))
            return contract_controlnet(
                control,
                request.attention,
                task.latent,
                request.unet_batch,
                tasks.plain_name(task.controlnet),
                request.text_tokens,
            )
        if kind is K.REFINER and request.refiner:
            with open_source(request.refiner) as refiner:
                network = refiner.component(kind)
        else:
            network = self._source.component(K.UNET if kind is K.CONTROL_UNET else kind)
        if kind in (K.TEXT_ENCODER, K.TEXT_ENCODER_2):
            pad, skip = self._pad(kind), request.clip_skip
            return contract_text_encoder(kind, network, info.family, pad, skip)
        if kind in tasks.DENOISERS:
            return contract_unet(
                kind,
                network,
                request.attention,
                task.latent,
                request.unet_batch,
                residuals=kind is K.CONTROL_UNET,
                adapter_features=self._adapter_features() if kind is K.CONTROL_UNET else 0,
                text_tokens=request.text_tokens,
            )
        if kind is K.SAFETY_CHECKER:
            return contract_safety_checker(network, (task.size.height, task.size.width))
        make_vae = contract_vae_decoder if kind is K.VAE_DECODER else contract_vae_encoder
        return make_vae(network, task.latent, needs_float32(network, info.family))

    def _adapter_features(self) -> int:
        """How many the T2I-Adapters give that are converted along."""
        from gui.convert.checkpoint.controlnet import look_controlnet

        adapters = [path for path in self._request.controlnets if tasks.is_adapter(path)]
        found = (look_controlnet(path).part.config["channels"] for path in adapters)
        return max(map(len, found), default=0)

    def _pad(self, kind: ComponentKind) -> int:
        pads = self._source.pad_token_ids
        return pads[-1] if kind is K.TEXT_ENCODER_2 else pads[0]

    def _has_changed(self) -> bool:
        """Whether the source is another one now; where its disk is gone, it may come back."""
        request = self._request
        is_there = all(place.exists() for place in _places(request))
        return is_there and _fingerprint(request) != self._journal.fingerprint

    def _check_source(self) -> None:
        """Before each component, so that nobody waits for the last one in vain."""
        if self._has_changed():
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                "The source changed while it was being converted, so that its parts may not belong "
                "together; convert it again.",
                self._request.source,
            )

    def _finish(self, began: float) -> ConvertReport:
        request = self._request
        title = tasks.Task(K.UNET, self._tasks[0].size, "")
        if self._cancelled():
            raise Cancelled
        self._tell(title, Step.FINISHING, 0.0, name="Model")
        self._check_source()
        with _errors("model"):
            folders = finish.share(self._model, self._tasks, self._journal)
            if request.compiled:
                for folder in folders:
                    self._tell(title, Step.COMPILING, 0.0, name="Model")
                    swift.write_resources(folder, self._source.tokenizer_files(), self._scratch)
            report = finish.write(
                self._model, folders, request, self._source, self._journal, self._tasks
            )
            report = finish.write_report(
                self._model, report, self._earlier + time.monotonic() - began, peak_memory()
            )
            finish.to_disk(self._model)
            self._model.rename(request.output)
        self._tell(title, Step.FINISHING, 1.0, "finished", name="Model")
        return report

    def _tell(
        self,
        task: Task,
        step: Step,
        fraction: float,
        message: str = "",
        done: Done | None = None,
        *,
        resumed: bool = False,
        name: str = "",
    ) -> None:
        total = sum(t.cost for t in self._tasks)
        start, share = _SHARES.get(step, (0.0, 0.0))
        spent = self._spent
        if done is None and step in _SHARES:
            spent += task.cost * (start + share * fraction)
        # The last hundredth is for finishing, and it never goes back.
        self._fraction = max(self._fraction, 0.99 * min(1.0, spent / total))
        if step is Step.FINISHING and fraction == 1.0:
            self._fraction = 1.0
        title = name or task.title
        self._on_progress(
            Progress(
                component=title,
                step=step,
                index=self._index,
                total=len(self._tasks),
                fraction=self._fraction,
                message=f"{title}: {message}" if message else "",
                parity=done.parity if done else None,
                resumed=resumed,
            )
        )


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Let coremltools keep its gigabytes of temporary files in the work folder: the system's own
    place may be small, or memory, and nobody would clear it after a crash."""
    _empty(folder)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def _empty(folder: Path) -> None:
    """coremltools takes its files away when the process ends; they would pile up until then."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)


def _fingerprint(request: ConvertRequest) -> str:
    """Changes whenever a file that the conversion reads does: of names, sizes and times.

    Other files do not count: the system itself may write some (``.DS_Store``).
    """
    digest = hashlib.sha256()
    for place in _places(request):
        inside = (p for end in _READ for p in place.rglob(f"[!.]*{end}"))
        files = [place] if place.is_file() else sorted(p for p in inside if not _made(p, place))
        for file in files:
            with contextlib.suppress(OSError):
                if file.is_file():
                    status = file.stat()
                    text = f"{file}\0{status.st_size}\0{status.st_mtime_ns}\0"
                    digest.update(text.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _places(request: ConvertRequest) -> list[Path]:
    """Files and folders that a conversion reads."""
    loras = (lora.path for lora in request.loras)
    more = filter(None, (request.vae, request.refiner))
    return [Path(place) for place in (request.source, *loras, *request.controlnets, *more)]


def _made(file: Path, place: Path) -> bool:
    """Whether a file belongs to a model that is or was made inside the source's own folder."""
    within = file.relative_to(place).parts[:-1]
    return file.name in _NOTES or any(part.endswith(_MADE) for part in within)


_NOTES = (REPORT, sidecar.FILE_NAME)
_MADE = (PARTIAL_SUFFIX, ".mlpackage", ".mlmodelc")
_READ = (".safetensors", ".json")
"""Endings of the files in a source that are read."""


@contextlib.contextmanager
def _errors(name: str) -> Iterator[None]:
    """Whatever goes wrong with a component, as a sentence."""
    try:
        with _storage_errors():
            yield
    except (SfumatoError, Cancelled):
        raise
    except Exception as error:
        free_memory()
        detail = "".join(traceback.format_exception(error))
        if ran_out(error):
            raise SfumatoError(
                ErrorKind.MEMORY,
                f"There is not enough memory to convert the {name}; close other programs, or "
                "choose a smaller picture size, and convert again: finished parts are kept.",
                detail,
            ) from error
        if any(words in detail for words in _UNWRITTEN):
            raise SfumatoError(
                ErrorKind.STORAGE,
                f"The {name} could not be written, most likely because the disk is full; free "
                "some space and convert again: finished parts are kept.",
                detail,
            ) from error
        raise SfumatoError(
            ErrorKind.INTERNAL,
            f"The {name} could not be converted; try another form of attention or no compression, "
            "and if it stays, copy the details into a report.",
            detail,
        ) from error


_AGAIN = "convert again: finished parts are kept"
_UNWRITTEN = ("[MIL FileWriter]", "[MIL StorageWriter]", os.strerror(errno.ENOSPC))
"""What coremltools and `shutil.copytree` say, whose errors bear no number, where a write failed."""


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None or ran_out(error):
            raise
        raise disk_error(
            error, "A file could not be read or written", then=_AGAIN, detail=str(error)
        ) from error
