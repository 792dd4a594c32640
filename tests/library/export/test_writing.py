"""Pictures in other forms: read back by ExifTool, by a foreign prompt parser, by Pillow and by our
own reader; with what made them, or with nothing at all."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gui.errors import ErrorKind, SfumatoError
from gui.library.export.forms import FORMS, ExportOptions, PictureForm, form_of
from gui.library.export.writing import export_picture, save_as
from gui.library.metadata.writing import MADE_BY_MODEL
from gui.library.picture_index import PictureKind
from gui.library.picture_origin import read_origin
from gui.library.picture_reader import read_picture
from gui.library.picture_record import RECORD_KEY, read_record, record_text
from gui.library.picture_scan import facts_of
from gui.library.picture_texts import parameters_text
from gui.library.pictures import png_bytes
from gui.request import PictureRecord, PictureRequest, Provenance, StartImage
from tests.support import exiftool

RECORD = PictureRecord(
    PictureRequest(
        "a fox, “red” & wild: 狐 <b>\nsecond line", "", "blurry, fog", 12, 3.5, "Euler a", 77
    ),
    96, 64, "Tiny SD", model_hash="abcd1234ef", seconds=2.5, program="Sfumato 1.0.0",
    created="2026-05-04T13:14:15+02:00", provenance=Provenance("owner/tiny", "c0ffee", "portable"),
)  # fmt: skip
FORM = pytest.mark.parametrize("form", list(PictureForm))
LOSSY = pytest.mark.parametrize("form", [f for f in PictureForm if FORMS[f].lossy])


def pixels() -> np.ndarray:
    y, x = np.mgrid[0:64, 0:96]
    return np.stack([x * 2, y * 3, 255 - x - y], axis=2).astype(np.uint8)


@pytest.fixture
def picture(home: Path) -> Path:
    path = home / "131415-77-a-fox.png"
    path.write_bytes(png_bytes(pixels(), RECORD))
    return path


def exported(picture: Path, **options: object) -> Path:
    return export_picture(picture, picture.parent / "out", ExportOptions(**options)).path  # type: ignore[arg-type]


@FORM
def test_a_form_is_what_its_name_says_and_shows_the_picture(
    picture: Path, form: PictureForm
) -> None:
    path = exported(picture, form=form, quality=95)
    kinds = {"image/heif"} if form is PictureForm.HEIC else set()
    assert exiftool.told(path)["File:MIMEType"] in {f"image/{form.value}"} | kinds
    off = np.abs(np.asarray(read_picture(path), int) - pixels())
    assert off.max() == 0 if form is PictureForm.PNG else off.mean() < 3
    assert path.suffix in FORMS[form].suffixes and form_of(path.name) is form


@FORM
def test_what_made_it_goes_along_and_comes_back(picture: Path, form: PictureForm) -> None:
    path = exported(picture, form=form)
    assert read_record(path) == RECORD
    facts = facts_of(path)
    assert (facts.kind, facts.seed, facts.model) == (PictureKind.MADE, 77, "Tiny SD")


@LOSSY
def test_exiftool_finds_settings_prompt_and_mark(picture: Path, form: PictureForm) -> None:
    found = exiftool.told(exported(picture, form=form))
    assert found["ExifIFD:UserComment"] == parameters_text(RECORD)
    assert found["IFD0:Software"] == "Sfumato 1.0.0"
    assert found["IFD0:ImageDescription"] == RECORD.request.prompt
    assert found["XMP-dc:Description"] == RECORD.request.prompt
    assert found["XMP-iptcExt:DigitalSourceType"] == MADE_BY_MODEL
    assert found["XMP-xmp:CreatorTool"] == "Sfumato 1.0.0"
    assert json.loads(found["XMP-exif:UserComment"])["seed"] == 77


def test_exiftool_finds_as_much_in_a_png(picture: Path) -> None:
    found = exiftool.told(exported(picture, scale=0.5))
    assert found["PNG:Parameters"] == parameters_text(RECORD)
    assert found["XMP-dc:Description"] == RECORD.request.prompt
    assert found["XMP-iptcExt:DigitalSourceType"] == MADE_BY_MODEL
    assert "tiny" in found["PNG:Sfumato"]


@pytest.mark.parametrize("form", [PictureForm.PNG, PictureForm.JPEG, PictureForm.WEBP])
def test_a_foreign_parser_reads_the_settings(picture: Path, form: PictureForm) -> None:
    from sd_parsers import ParserManager

    found = ParserManager().parse(exported(picture, form=form))
    assert found is not None
    (sampler,) = found.samplers
    assert sampler.name == "Euler a"
    assert (sampler.parameters["steps"], sampler.parameters["seed"]) == ("12", "77")
    assert [str(p) for p in found.prompts] == [RECORD.request.prompt]
    assert [str(p) for p in found.negative_prompts] == ["blurry, fog"]
    assert {m.name for m in found.models} == {"Tiny SD"}


@FORM
def test_without_settings_nothing_is_left(picture: Path, form: PictureForm) -> None:
    path = exported(picture, form=form, settings=False)
    assert exiftool.metadata(path) == {}
    texts = {k: v for k, v in exiftool.told(path).items() if k.startswith("PNG:")}
    assert not any("fox" in value for value in texts.values())
    for trace in (b"fox", b"Sfumato", b"Tiny", b"http", "fox".encode("utf-16-be")):
        assert trace not in path.read_bytes()
    assert read_record(path) is None
    origin = read_origin(path)
    assert origin.record is None and origin.imported is None


@FORM
def test_nothing_of_a_photograph_goes_along_unasked(home: Path, form: PictureForm) -> None:
    """A photograph brings a camera, a place, a profile, a thumbnail and a comment."""
    from PIL import ImageCms

    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera maker", 6
    exif.get_ifd(0x8825)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = home / "IMG_1.jpg"
    Image.fromarray(pixels()).save(
        photo, exif=exif, icc_profile=profile, comment=b"holiday", xmp=b"<x>secret</x>"
    )
    path = exported(photo, form=form, settings=False)
    assert exiftool.metadata(path) == {}
    assert not {b"Camera", b"holiday", b"secret"} & {
        w for w in (b"Camera", b"holiday", b"secret") if w in path.read_bytes()
    }
    with Image.open(path) as image:
        assert image.size == (64, 96), "turned upright, since nothing says so any more"


@FORM
def test_no_folder_of_this_computer_goes_along(home: Path, form: PictureForm) -> None:
    request = replace(
        RECORD.request, model="/Volumes/Jane/m", start_image=StartImage("/Volumes/Jane/s.png", 0.5)
    )
    old = home / "old.png"  # as an earlier version wrote it, paths and all
    info = PngInfo()
    text = record_text(replace(RECORD, request=request))
    info.add_itxt(RECORD_KEY, text.replace('"m"', '"/Volumes/Jane/m"'))
    Image.fromarray(pixels()).save(old, pnginfo=info)
    assert b"Jane" in old.read_bytes()
    path = exported(old, form=form)
    assert b"Jane" not in path.read_bytes()
    record = read_record(path)
    assert record is not None and record.request.seed == 77


def test_a_png_that_changes_in_nothing_keeps_its_bytes(picture: Path) -> None:
    assert exported(picture).read_bytes() == picture.read_bytes()
    assert exported(picture, longest=96).read_bytes() == picture.read_bytes()


@pytest.mark.parametrize(
    ("options", "size"),
    [({"scale": 0.5}, (48, 32)), ({"scale": 2}, (192, 128)), ({"longest": 30}, (30, 20)),
     ({"longest": 192, "scale": 0.1}, (192, 128)), ({"longest": 1}, (1, 1))],
)  # fmt: skip
def test_sizes(picture: Path, options: dict[str, float], size: tuple[int, int]) -> None:
    path = exported(picture, form=PictureForm.WEBP, **options)
    with Image.open(path) as image:
        assert image.size == size
    record = read_record(path)
    assert record is not None and (record.width, record.height) == (96, 64), "as it was drawn"


def test_a_smaller_quality_makes_a_smaller_file(picture: Path) -> None:
    for form in PictureForm:
        if FORMS[form].lossy:
            sizes = [
                exported(picture, form=form, quality=q, scale=4).stat().st_size for q in (20, 95)
            ]
            assert sizes[0] < sizes[1], form


def test_other_programs_settings_stay_theirs(home: Path) -> None:
    text = "an owl\nSteps: 5, Sampler: Euler, CFG scale: 2, Seed: 9, Size: 96x64"
    info = PngInfo()
    info.add_text("parameters", text)
    info.add_itxt("workflow", '{"nodes": []}')
    foreign = home / "owl.png"
    Image.fromarray(pixels()).save(foreign, pnginfo=info)
    assert exported(foreign).read_bytes() == foreign.read_bytes()
    found = exiftool.told(exported(foreign, scale=2))
    assert (found["PNG:Parameters"], found["PNG:Workflow"]) == (text, '{"nodes": []}')
    for form in (PictureForm.JPEG, PictureForm.WEBP):
        path = exported(foreign, form=form)
        assert exiftool.told(path)["ExifIFD:UserComment"] == text
        imported = read_origin(path).imported
        assert imported is not None and imported.seed == 9


def test_transparent_parts(home: Path) -> None:
    clear = home / "clear.png"
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(clear)
    for form in PictureForm:
        image = read_picture(exported(clear, form=form))
        if form is PictureForm.JPEG:
            assert image.getpixel((5, 5)) == (255, 255, 255)
        else:
            assert image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize("length", [9_000, 25_000, 200_000])
def test_a_prompt_that_is_too_long_for_a_jpeg_is_said(home: Path, length: int) -> None:
    record = replace(RECORD, request=replace(RECORD.request, prompt="狐" * length))
    path = home / "long.png"
    path.write_bytes(png_bytes(pixels(), record))
    made = export_picture(path, home / "out", ExportOptions(PictureForm.JPEG))
    assert "too long" in made.note
    found = exiftool.told(made.path)
    assert found["XMP-iptcExt:DigitalSourceType"] == MADE_BY_MODEL
    with Image.open(made.path) as image:
        image.load()
    whole = export_picture(path, home / "out", ExportOptions(PictureForm.WEBP))
    assert whole.note == "" and read_record(whole.path) == record


def test_exporting_never_replaces_a_file_and_saving_as_does(picture: Path, tmp_path: Path) -> None:
    first, second = (exported(picture, form=PictureForm.JPEG) for _ in range(2))
    assert first != second and second.stem == f"{first.stem}-2"
    target = tmp_path / "kept.webp"
    target.write_bytes(b"of another day")
    save_as(picture, target, ExportOptions(PictureForm.WEBP, settings=False))
    with Image.open(target) as image:
        assert image.format == "WEBP"
    assert [p.name for p in target.parent.iterdir() if p.suffix == ".part"] == []


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SfumatoError) as caught:
        exported(picture, form=PictureForm.JPEG)
    assert caught.value.kind is ErrorKind.STORAGE and "disk is full" in caught.value.message
    assert list((picture.parent / "out").iterdir()) == []


def test_what_cannot_be_written_is_said_with_what_to_do(picture: Path, home: Path) -> None:
    wide = home / "wide.png"
    Image.new("L", (20_000, 2)).save(wide)
    with pytest.raises(SfumatoError, match=r"WebP.*16383.*smaller size"):
        exported(wide, form=PictureForm.WEBP)
    for bad in (home / "absent.png", home / "text.png"):
        if bad.name == "text.png":
            bad.write_text("no picture")
        with pytest.raises(SfumatoError) as caught:
            exported(bad, form=PictureForm.JPEG)
        assert caught.value.kind is ErrorKind.BAD_IMAGE
    with pytest.raises(SfumatoError, match=r"\.tiff.*\.png, \.jpg"):
        form_of("a.tiff")


def test_a_damaged_record_costs_the_record_and_not_the_picture(home: Path) -> None:
    info = PngInfo()
    info.add_itxt(RECORD_KEY, '{"record": 5}')
    path = home / "damaged.png"
    Image.fromarray(pixels()).save(path, pnginfo=info)
    with Image.open(io.BytesIO(exported(path, form=PictureForm.JPEG).read_bytes())) as image:
        assert image.size == (96, 64)


@FORM
def test_noise_at_full_quality_is_written_too(home: Path, form: PictureForm) -> None:
    """What cannot be compressed overflows an encoder's buffers where anything does."""
    chance = np.random.default_rng(0)
    noise = home / "noise.png"
    Image.fromarray(chance.integers(0, 256, (200, 300, 3)).astype(np.uint8)).save(noise)
    made = export_picture(noise, home / "out", ExportOptions(form, 100))
    assert read_picture(made.path).size == (300, 200)
