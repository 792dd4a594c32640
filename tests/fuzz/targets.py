"""What reads files from outside, each with something good to begin with."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from gui import files, names, paths
from gui.errors import SfumatoError
from tests.fuzz.mutate import bytes_changed, json_changed

if TYPE_CHECKING:
    from gui.hub.types import RemoteFile

Change = Callable[[Random, bytes], bytes]


@dataclass(frozen=True)
class Target:
    """A reader.

    Args:
        name: for people.
        good: bytes that it takes.
        change: makes others of them.
        read: gives them to it; the folder is empty, but for what `good` or an earlier call left.
    """

    name: str
    good: Callable[[], bytes]
    change: Change
    read: Callable[[bytes, Path], object]


def _component(suffix: str) -> Path:
    (found,) = paths.starter_model().glob(f"*_{suffix}.mlpackage")
    return found


def _linked(source: Path, place: Path) -> Path:
    """A copy to change files of, made once."""
    if not place.exists():
        shutil.copytree(source, place)
    return place


def _contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _put(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


# -- Core ML files -------------------------------------------------------------------------------


def _sidecar(data: bytes, folder: Path) -> None:
    from gui.coreml import sidecar
    from gui.coreml.inspect import inspect_model, load_sidecar
    from gui.library.models.origin import file_hashes, origin_of
    from gui.pipeline.schedulers import make_scheduler, set_steps

    model = _linked(paths.starter_model(), folder / "model")
    _put(model / sidecar.FILE_NAME, data)
    origin_of(model)
    file_hashes(model)
    info = inspect_model(model)
    found = load_sidecar(info)
    json.dumps(found.to_json(), ensure_ascii=False).encode()
    for name in ("DDIM", "DPM++ 2M Karras", "PNDM"):
        set_steps(make_scheduler(name, found), name, 20)


def _manifest(data: bytes, folder: Path) -> None:
    from gui.coreml.inspect import inspect_component

    package = _linked(_component("vae_encoder"), folder / "x_vae_encoder.mlpackage")
    _put(package / "Manifest.json", data)
    inspect_component(package)


def _specification(data: bytes, folder: Path) -> None:
    from gui.coreml.inspect import inspect_component

    package = _linked(_component("vae_encoder"), folder / "x_vae_encoder.mlpackage")
    _put(package / "Data" / "com.apple.CoreML" / "model.mlmodel", data)
    inspect_component(package)


@cache
def _compiled() -> dict[str, bytes]:
    import tempfile

    from tests.support.compiled_writer import compile_package

    with tempfile.TemporaryDirectory() as folder:
        made = compile_package(_component("vae_encoder"), Path(folder) / "VAEEncoder.mlmodelc")
        return {
            p.relative_to(made).as_posix(): p.read_bytes() for p in made.rglob("*") if p.is_file()
        }


def _compiled_with(name: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> None:
        from gui.coreml.inspect import inspect_component

        model = folder / "VAEEncoder.mlmodelc"
        for path, content in {**_compiled(), name: data}.items():
            _put(model / path, content)
        inspect_component(model)

    return read


# -- archives ------------------------------------------------------------------------------------


def _zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, content in (
            ("fog/Unet.mlmodelc/model.mil", b"program" * 50),
            ("fog/Unet.mlmodelc/weights/weight.bin", bytes(300)),
            ("fog/naïve.txt", b"x"),
            ("__MACOSX/fog/._Unet.mlmodelc", b"x"),
        ):
            method = zipfile.ZIP_DEFLATED if content[:1] == b"p" else zipfile.ZIP_STORED
            archive.writestr(path, content, method)
    return made.getvalue()


def _unpack(data: bytes, folder: Path) -> None:
    from gui.hub.downloads import archive

    source = folder / "fog.zip"
    _put(source, data)
    shutil.rmtree(folder / "out", ignore_errors=True)
    with source.open("rb") as file:
        archive.declared_bytes(file)
        with archive.translated(source.name):
            archive.unpack(file, folder / "out")


class _Bytes:
    """A `Probe` of one file."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        assert start >= 0 and length >= 0
        return self._data[start : start + length]


def _zip_directory(data: bytes, _folder: Path) -> None:
    from gui.hub.types import RemoteFile
    from gui.hub.variants.inventory import take_inventory
    from gui.hub.variants.zip_directory import ZipProbe

    probe = ZipProbe(_Bytes(data), RemoteFile("fog.zip", len(data)))
    take_inventory(probe.files)
    for file in probe.files:
        if file.size <= 1 << 20:
            probe.read(file, 0, file.size)


# -- checkpoints ---------------------------------------------------------------------------------


@cache
def _checkpoint(kind: str = "sd1") -> dict[str, bytes]:
    import tempfile

    from tests.support.tiny_checkpoints import save_folder

    with tempfile.TemporaryDirectory() as folder:
        made = save_folder(kind, Path(folder) / "fog")
        return {
            p.relative_to(made).as_posix(): p.read_bytes() for p in made.rglob("*") if p.is_file()
        }


def _checkpoint_with(name: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> None:
        from gui.convert.checkpoint import source

        place = folder / "fog"
        for path, content in _checkpoint().items():
            if not (place / path).exists():
                _put(place / path, content)
        _put(place / name, data)
        source.look(place)

    return read


@cache
def _single() -> tuple[bytes, bytes]:
    """A single-file checkpoint: its header, and what follows."""
    import tempfile

    from tests.support.tiny_checkpoints import save_single

    with tempfile.TemporaryDirectory() as folder:
        data = save_single("sd1", Path(folder) / "fog.safetensors").read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    return data[8:end], data[end:]


def _safetensors(data: bytes, folder: Path) -> None:
    from gui.convert.checkpoint import source
    from gui.convert.checkpoint.lora.families import family_of_lora
    from gui.library.lora_files.kinds import read_lora

    file = folder / "fog.safetensors"
    _put(file, len(data).to_bytes(8, "little") + data + _single()[1])
    with contextlib.suppress(SfumatoError):
        family_of_lora(read_lora(file))
    source.look(file)


def _safetensors_bytes(data: bytes, folder: Path) -> None:
    from gui.library.safetensors_header import read_header

    _put(folder / "fog.safetensors", data)
    read_header(folder / "fog.safetensors")


@cache
def _tokenizer(name: str) -> bytes:
    return (paths.resource("tokenizer") / name).read_bytes()


def _vocabulary(data: bytes, folder: Path) -> None:
    from gui.pipeline.tokens import ClipTokenizer

    place = folder / "tokenizer"
    _put(place / "merges.txt", _tokenizer("merges.txt"))
    _put(place / "vocab.json", data)
    ClipTokenizer(place).ids("a fox in the fog")


def _merges(data: bytes, folder: Path) -> None:
    from gui.pipeline.tokens import ClipTokenizer

    place = folder / "tokenizer"
    _put(place / "vocab.json", _tokenizer("vocab.json"))
    _put(place / "merges.txt", data)
    ClipTokenizer(place).ids("a fox in the fog")


# -- pictures ------------------------------------------------------------------------------------


@cache
def _picture() -> bytes:
    import numpy as np

    from gui.library.pictures import png_bytes
    from gui.request import PictureRecord, PictureRequest, StartImage

    request = PictureRequest("a fox", "", start_image=StartImage("/x/y.png"), steps=7)
    return png_bytes(np.zeros((8, 8, 3), np.uint8), PictureRecord(request, 8, 8, "fog"))


def _png(data: bytes, folder: Path) -> None:
    from gui.library.picture_record import read_record
    from gui.pipeline.start_image import read_start_image

    _put(folder / "fog.png", data)
    for read in (read_record, lambda path: read_start_image(path, 8, 8)):
        try:
            read(folder / "fog.png")
        except SfumatoError:
            continue


def _png_text() -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(_picture())) as image:
        return next(str(v) for v in image.info.values() if str(v).startswith("{")).encode()


def _png_record(data: bytes, folder: Path) -> None:
    """The JSON inside a picture, whatever its checksums would say of a changed file."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from gui.library.picture_record import read_record

    info = PngInfo()
    with Image.open(io.BytesIO(_picture())) as image:
        (key,) = (k for k, v in image.info.items() if str(v).startswith("{"))
        info.add_itxt(str(key), data.decode("utf-8", "replace"))
        image.save(folder / "fog.png", pnginfo=info)
    read_record(folder / "fog.png")


# -- our own files -------------------------------------------------------------------------------


def _styles_table() -> bytes:
    return 'name,prompt,negative_prompt\r\nFog,"{prompt}, ""fog""",sun\r\nÖl,oil,\r\n'.encode()


def _styles_list() -> bytes:
    return json.dumps(
        [{"name": "Fog", "prompt": "{prompt}, fog", "negative_prompt": "sun"}, {"name": "Oil"}]
    ).encode()


def _styles(data: bytes, folder: Path) -> None:
    from gui.library.style_files import read_style_file
    from gui.styles import styled, unstyled

    path = folder / "styles.csv"
    path.write_bytes(data)
    for style in read_style_file(path):
        whole = styled("a {prompt} b", "", [style])
        own = unstyled(*whole, [style])
        assert own is not None and styled(*own, [style]) == whole


def _request() -> bytes:
    from gui.request import PictureRequest, StartImage

    start = StartImage("/x/y.png")
    return json.dumps(PictureRequest("a fox", "/m", start_image=start).to_json()).encode()


def _queue(data: bytes, folder: Path) -> None:
    """A row of the queue as a damaged disk, or another program, may leave it."""
    from gui.library.queue import JobStore
    from gui.request import PictureRequest

    file = folder / "queue.sqlite"
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    store = JobStore(file)
    store.add(PictureRequest("a fox", ""))
    store.add(PictureRequest("another", ""))
    store.close()
    with sqlite3.connect(file) as base:
        row = base.execute("SELECT min(rowid) FROM jobs").fetchone()[0]
        text = data.decode("utf-8", "replace")
        base.execute("UPDATE jobs SET request = ? WHERE rowid = ?", (text, row))
    base.close()
    store = JobStore(file)
    store.recover()
    assert any(job.request.prompt == "another" for job in store.jobs()), "a good job went too"
    store.close()


def _settings() -> bytes:
    return (
        b"[models]\nfolders=\"[\\\"/a\\\", \\\"/b\\\"]\"\n[session]\n"
        b"draft=\"{\\\"prompt\\\": \\\"x\\\", \\\"steps\\\": 7}\"\nmodel=/a\n"
        b"[window]\nappearance=dark\n[layout]\n1\\columns=@ByteArray(\\0\\0\\0\\xff)\n"
    )  # fmt: skip


def _read_settings(data: bytes, _folder: Path) -> None:
    from gui.state.draft import Draft
    from gui.state.settings import Settings, StoredSetting

    _put(paths.data_dir() / "settings.ini", data)
    settings = Settings()
    for name, option in vars(Settings).items():
        if isinstance(option, StoredSetting):
            getattr(settings, name)
    settings.layout("columns")
    Draft.from_json(settings.draft)


def _draft(data: bytes, _folder: Path) -> None:
    from gui.state.draft import Draft

    try:
        value = files.parse_json(data)
    except files.UnreadableFile:
        return
    if isinstance(value, dict):
        Draft.from_json(value)


def _read_request(data: bytes, _folder: Path) -> None:
    from gui import records
    from gui.request import PictureRequest

    try:
        request = records.loads(PictureRequest, data)
    except records.RecordError:
        return
    files.found(request.model)
    if request.start_image is not None:
        files.expanded(request.start_image.path)


def _journals(data: bytes, folder: Path) -> None:
    """A conversion's and a download's notes, which a crash may have cut."""
    from gui.convert.client import JOURNAL, asked_of
    from gui.hub.downloads.plan import FOLDER, WorkFolder
    from gui.library.models.origin import MANIFEST, fetched_source

    for name in (JOURNAL, MANIFEST, f"{FOLDER}/x/plan.json", f"{FOLDER}/x/state.json"):
        _put(folder / name, data)
    asked_of(folder)
    fetched_source(folder)
    work = WorkFolder(folder, "x")
    work.load()
    work.load_state()


def _journal() -> bytes:
    return json.dumps(
        {
            "format": 1, "repo": "ada/fog", "revision": "0" * 40, "files": {"a": 1}, "paused": True,
            "request": {"source": "/x", "output": "/y", "sizes": [{"width": 512, "height": 512}]},
            "id": "x", "title": "Fog", "purpose": "model", "target": "ada--fog/original",
            "variant": {"id": "original", "title": "", "files": [{"path": "a", "size": 1}]},
        }
    ).encode()  # fmt: skip


# -- text ----------------------------------------------------------------------------------------


def _names(data: bytes, folder: Path) -> None:
    for text in (data.decode("utf-8", "replace"), data.decode("latin-1")):
        found = names.parse_reference(text)
        if found is not None:
            assert names.parse_repository(found.repo) == found.repo
        names.is_address(text)
        for name in (names.file_name(text), names.folder_name(text)):
            assert names.is_safe(name) and "/" not in name, name
        if names.is_safe(text):
            assert folder in (folder / text).parents
        files.found(text)
        try:
            files.checked(text)
        except SfumatoError:
            continue


def _compiled_part(name: str) -> Callable[[], bytes]:
    return lambda: _compiled()[name]


def _checkpoint_part(name: str) -> Callable[[], bytes]:
    return lambda: _checkpoint()[name]


TARGETS: tuple[Target, ...] = (
    Target("sidecar", lambda: (paths.starter_model() / "sfumato.json").read_bytes(),
           json_changed, _sidecar),
    Target("manifest", lambda: (_component("vae_encoder") / "Manifest.json").read_bytes(),
           json_changed, _manifest),
    Target("specification", lambda: (_component("vae_encoder") / "Data" / "com.apple.CoreML"
           / "model.mlmodel").read_bytes(), bytes_changed, _specification),
    Target("program", _compiled_part("model.mil"), bytes_changed, _compiled_with("model.mil")),
    Target("metadata", _compiled_part("metadata.json"), json_changed,
           _compiled_with("metadata.json")),
    Target("archive", _zip, bytes_changed, _unpack),
    Target("archive on the Hub", _zip, bytes_changed, _zip_directory),
    *(Target(name, _checkpoint_part(name), json_changed, _checkpoint_with(name))
      for name in ("model_index.json", "scheduler/scheduler_config.json", "unet/config.json",
                   "vae/config.json", "text_encoder/config.json")),
    Target("safetensors header", lambda: _single()[0], json_changed, _safetensors),
    Target("safetensors", _checkpoint_part("vae/diffusion_pytorch_model.safetensors"),
           bytes_changed, _safetensors_bytes),
    Target("vocabulary", lambda: _tokenizer("vocab.json"), json_changed, _vocabulary),
    Target("merges", lambda: _tokenizer("merges.txt"), bytes_changed, _merges),
    Target("picture", _picture, bytes_changed, _png),
    Target("picture's record", _png_text, json_changed, _png_record),
    Target("table of styles", _styles_table, bytes_changed, _styles),
    Target("list of styles", _styles_list, json_changed, _styles),
    Target("queue", _request, json_changed, _queue),
    Target("request", _request, json_changed, _read_request),
    Target("settings", _settings, bytes_changed, _read_settings),
    Target("draft", _request, json_changed, _draft),
    Target("journals", _journal, json_changed, _journals),
    Target("names", lambda: "https://huggingface.co/ada/fog/tree/refs%2Fpr%2F1/~x/霧".encode(),
           bytes_changed, _names),
)  # fmt: skip
