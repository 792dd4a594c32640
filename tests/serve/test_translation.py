"""A web UI's request as ours: sizes, second passes, starting pictures, what is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gui.errors import SfumatoError
from gui.serve.messages import ServiceOptions
from gui.serve.opening import Opener
from gui.serve.sdapi.asking import Translator, Wanted, fitted
from gui.serve.sdapi.schemas import ImageToImage, TextToImage
from gui.serve.shelf import Shelf
from gui.serve.uploads import Uploads, decoded
from tests.serve.conftest import encoded, picture


@pytest.fixture(scope="module")
def shelf() -> Iterator[Shelf]:
    shelf = Shelf(lambda: ServiceOptions("t"))
    yield shelf
    shelf.close()


@pytest.fixture(scope="module")
def opener() -> Iterator[Opener]:
    opener = Opener()
    yield opener
    opener.close()


@pytest.fixture
def translator(
    shelf: Shelf, opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Translator:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    return Translator(lambda: ServiceOptions("t"), shelf, Uploads(tmp_path / "uploads", opener))


def asked(translator: Translator, **body: Any) -> Wanted:
    return translator.text_to_image(TextToImage.model_validate({"prompt": "p", **body}))


SIZES: list[tuple[dict[str, Any], tuple[int | None, int | None, str | None], set[str]]] = [
    ({}, (None, None, None), set()),
    # the starter model draws 128 × 128, and its pictures are enlarged 4 times by themselves
    ({"width": 512, "height": 512}, (None, None, None), set()),
    ({"width": 128, "height": 128}, (None, None, "1"), set()),
    ({"width": 256, "height": 192}, (256, 192, "1"), set()),
    ({"width": 250, "height": 200}, (256, 192, "1"), {"width, height"}),
    ({"width": 128, "height": 128, "enable_hr": True, "hr_scale": 2}, (None, None, "2"), set()),
    ({"width": 128, "height": 128, "enable_hr": True, "hr_scale": 1.5}, (None, None, "2"),
     {"hr_scale"}),
    ({"width": 128, "height": 128, "enable_hr": True, "hr_scale": 3}, (None, None, "4"),
     {"hr_scale"}),
    ({"width": 128, "height": 128, "enable_hr": True, "hr_scale": 6}, (None, None, "4"),
     {"hr_scale"}),
    ({"width": 128, "height": 128, "enable_hr": True, "hr_scale": 0.5}, (None, None, "1"),
     {"hr_scale"}),
    ({"width": 192, "height": 192, "enable_hr": True, "hr_resize_x": 768}, (192, 192, "4"), set()),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected", "named"), SIZES, ids=[str(s[0]) for s in SIZES])
def test_sizes_are_what_comes_out(
    translator: Translator,
    body: dict[str, Any],
    expected: tuple[int | None, int | None, str | None],
    named: set[str],
) -> None:
    wanted = asked(translator, **body)
    (request,) = wanted.requests
    assert (request.width, request.height, request.enlargement) == expected
    assert wanted.ignored.keys() == named


def test_a_second_pass_paints_detail(translator: Translator) -> None:
    body = {"enable_hr": True, "hr_scale": 2, "width": 256, "height": 256,
            "denoising_strength": 0.35, "hr_upscaler": "R-ESRGAN 4x+"}  # fmt: skip
    (request,) = asked(translator, **body).requests
    assert (request.detail_strength, request.upscaler) == (0.35, "Photographs x4")
    (without,) = asked(translator, **{**body, "enable_hr": False}).requests
    assert without.detail_strength == 0, "programs send its strength with every request"
    wanted = asked(translator, **{**body, "hr_upscaler": "Latent"})
    assert wanted.ignored == {"hr_upscaler": "pictures are enlarged by a network"}
    with pytest.raises(SfumatoError, match="no upscaler called “4x-UltraSharp”"):
        asked(translator, **{**body, "hr_upscaler": "4x-UltraSharp"})


def test_iterations_are_jobs_and_seeds_count_on(translator: Translator) -> None:
    wanted = asked(translator, seed=2**32 - 2, n_iter=2, batch_size=2)
    assert [request.seeds() for request in wanted.requests] == [[2**32 - 2, 2**32 - 1], [0, 1]]


def test_init_images_have_a_picture_each(translator: Translator) -> None:
    sources = [encoded(picture(8, 8, colour)) for colour in ("red", "blue")]
    body = ImageToImage.model_validate({"prompt": "p", "init_images": sources, "seed": 4})
    requests = translator.image_to_image(body).requests
    starts = [request.start_image.path for request in requests if request.start_image]
    assert [request.seed for request in requests] == [4, 5] and len(set(starts)) == 2


def test_the_way_a_picture_is_fitted() -> None:
    wide = Image.new("RGB", (40, 20), "red")
    wide.paste("blue", (0, 0, 4, 20))
    stretched, cropped, filled = (fitted(wide, (20, 20), mode) for mode in (0, 1, 2))
    assert stretched.size == cropped.size == filled.size == (20, 20)
    assert stretched.getpixel((0, 10)) == (0, 0, 255), "all of it"
    assert cropped.getpixel((0, 10)) == (255, 0, 0), "its middle"
    column = [filled.getpixel((15, y)) for y in (0, 10, 19)]
    assert column == [(255, 0, 0)] * 3, "its edges drawn out"
    assert filled.getpixel((0, 0)) == (0, 0, 255)
    tall = fitted(wide.transpose(Image.Transpose.ROTATE_90), (40, 20), 2)
    assert tall.size == (40, 20)


@pytest.mark.parametrize("text", ["", "data:image/png;base64,", "/etc/passwd!", "http://x/y.png",
                                  "data:text/html,<b>", "ÿ"])  # fmt: skip
def test_what_is_no_picture_is_refused(text: str) -> None:
    with pytest.raises(SfumatoError, match="no picture in base64"):
        decoded(text, "init image 1")


def test_spaces_and_missing_padding_do_no_harm() -> None:
    text = encoded(picture())
    broken = "\n".join(text[k : k + 60] for k in range(0, len(text), 60)).rstrip("=")
    assert decoded(f"data:image/png;base64,{broken}", "x") == decoded(text, "x")


def test_uploads_go_when_they_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gui.serve import limits, uploads

    monkeypatch.setattr(limits, "MAX_UPLOADS_BYTES", 0)
    monkeypatch.setattr(uploads, "KEEP_SECONDS", -1.0)
    kept = Uploads(tmp_path)
    needed, other = (kept.keep(picture(8, 8, colour)) for colour in ("red", "blue"))
    assert kept.keep(picture(8, 8, "red")) == needed, "the same one is one file"
    kept.sweep({needed})
    assert needed.exists() and not other.exists()
    with pytest.raises(SfumatoError, match="no such upload"):
        kept.kept(other.stem)


def test_models_of_one_name_are_told_apart(
    tiny_sd1: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    added = tmp_path / "added" / tiny_sd1.folder.name
    installed = tmp_path / "data" / "Models" / f"owner--{tiny_sd1.folder.name}"
    for place in (added, installed):
        place.parent.mkdir(parents=True)
        place.symlink_to(tiny_sd1.folder)
    options = ServiceOptions("t", model_folders=(str(added), str(tiny_sd1.folder)))
    shelf = Shelf(lambda: options)
    name = tiny_sd1.folder.name
    listed = [model.name for model in shelf.models()]
    assert listed == ["Sfumato Starter", f"owner/{name}", name, f"{name} (2)"]
    assert shelf.find_model(f"OWNER/{name} [abc123]").folder == str(installed)
    assert shelf.find_model(f"{name} (2)").folder == str(tiny_sd1.folder)
    assert shelf.find_model("starter").folder == ""
    with pytest.raises(SfumatoError, match="no model called"):
        shelf.find_model("../x")
    shelf.close()
