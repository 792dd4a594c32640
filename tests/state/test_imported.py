"""A picture's settings on their way here: what each becomes, and which model made it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gui.control_use import Control
from gui.coreml.model import Attention, Family
from gui.coreml.sidecar import Sidecar
from gui.library import places
from gui.library.metadata.containers import read_fields
from gui.library.metadata.imported import Imported
from gui.library.picture_adding import mark_of
from gui.library.picture_origin import PictureOrigin
from gui.library.pictures import save_picture
from gui.request import LoraUse, PictureRecord, PictureRequest, Provenance, RandomSource
from gui.state.draft import Draft
from gui.state.model_entry import ModelEntry
from gui.state.pictures.imported import AS_IT_IS, MODEL, import_rows
from gui.state.pictures.model_match import ModelMatch, match_model, search_words
from gui.state.pictures.origin import Origin, origin_of, read_whole_origin
from tests.ui.conftest import make_info


def entry(folder: str, name: str = "", **more: object) -> ModelEntry:
    sidecar = Sidecar(Family.SD1, name=name, **more)  # type: ignore[arg-type]
    return ModelEntry(Path("/models") / folder, info=make_info(Path(folder)), sidecar=sidecar)


def named(model: str, model_hash: str = "") -> Origin:
    return origin_of(PictureOrigin(imported=Imported("A", "x", model=model, model_hash=model_hash)))


@pytest.mark.parametrize(
    ("stated", "installed", "found", "sure"),
    [
        ("dreamshaper_8", "DreamShaper 8", True, True),
        ("dreamshaper_8_pruned.safetensors [879db523c3]", "dreamshaper-8", True, True),
        ("sd15\\DreamShaper_8.ckpt", "coreml-dreamshaper-8_original", True, True),
        ("v1-5-pruned-emaonly.safetensors", "coreml-stable-diffusion-v1-5", True, True),
        ("sd_v1.5_f16.ckpt", "stable-diffusion-v1-5", True, True),
        ("sd_xl_base_1.0", "stable-diffusion-xl-base-1.0", True, True),
        ("dreamshaper_7", "DreamShaper 8", True, False),
        ("v1-5-pruned", "stable-diffusion-2-1", False, False),
        ("sd_xl_base_1.0", "stable-diffusion-xl-refiner-1.0", False, False),
        ("", "DreamShaper 8", False, False),
        ("…", "DreamShaper 8", False, False),
    ],
)
def test_a_model_is_known_by_its_name(stated: str, installed: str, found: bool, sure: bool) -> None:
    match = match_model(named(stated), [entry("other", "Analog"), entry("here", installed)])
    assert (match.entry is not None, match.sure) == (found, sure)
    if match.entry is not None:
        assert match.entry.name == installed and match.how


def test_what_a_model_was_made_of_counts_as_its_name() -> None:
    hub = {"hub": {"base_model": "Lykon/dreamshaper-8"}}
    match = match_model(named("dreamshaper_8"), [entry("here", "Fog, 6-bit", extra=hub)])
    assert match.entry is not None and match.sure


@pytest.mark.parametrize("stated", ["879db523c3", "0x879DB523C30D3B9017143D56705015E15A2CB5628"])
def test_the_hash_of_the_checkpoint_counts_more_than_names(stated: str) -> None:
    digest = "879db523c30d3b9017143d56705015e15a2cb5628000000000000000000000ff"
    converted = entry("b", "Mine", extra={"conversion": {"checkpoint_sha256": digest}})
    models = [entry("a", "dreamshaper_8"), converted]
    match = match_model(named("dreamshaper_8", stated), models)
    assert match.entry is converted and match.sure
    loras = {"conversion": {"checkpoint_sha256": digest}, "patch": {"loras": [{"name": "fog"}]}}
    match = match_model(named("other", stated), [entry("c", "Mine", extra=loras)])
    assert match.entry is None, "with a LoRA in it, it is another model"


def test_our_own_pictures_know_their_model_by_its_files() -> None:
    record = PictureRecord(PictureRequest("x", "/models/a"), 64, 64, "Fog", model_hash="0011223344")
    origin = origin_of(PictureOrigin(record))
    moved = replace(entry("b", "Renamed"), identity="0011223344")
    other = replace(entry("a", "Fog"), identity="99" * 5)
    match = match_model(origin, [other, moved])
    assert match.entry is moved and match.sure
    match = match_model(origin, [other])
    assert match.entry is other and not match.sure and "files are others" in match.how
    unread = entry("a", "Something")
    assert match_model(origin, [unread]).entry is unread


def test_a_model_that_cannot_be_used_is_none() -> None:
    broken = replace(entry("a", "Fog"), problem="The UNet is missing.")
    assert match_model(named("Fog"), [broken]) == ModelMatch()


def test_words_for_the_hub() -> None:
    assert search_words("models\\dreamShaper_8_pruned.safetensors [879db523c3]") == "dreamshaper 8"
    assert search_words("owner/fog-model-v2") == "fog model 2"


def rows(found: Imported, *, fixed: bool = False) -> dict[str, tuple[str, str, str]]:
    origin = origin_of(PictureOrigin(imported=found))
    info = make_info(Path("a"), size=(512, 768))
    if fixed:
        info = replace(info, attention=Attention.SPLIT_EINSUM_V2)
    in_use = replace(entry("a", "Fog"), info=info)
    told = import_rows(origin, match_model(origin, [in_use]), in_use)
    return {row.label: (row.stated, row.here, row.remark) for row in told}


def test_values_that_do_not_fit_say_what_they_become() -> None:
    found = Imported("ComfyUI", "a fox", steps=1500, guidance_scale=250.0, seed=2**50 + 77,
                     random_source=RandomSource.TORCH, width=650, height=440)  # fmt: skip
    told = rows(found)
    assert told["Steps"][:2] == ("1500", "1000") and told["Steps"][2]
    assert told["Guidance"][:2] == ("250", "100")
    assert told["Seed"][:2] == (str(2**50 + 77), "77")
    assert "same noise" in told["Seed"][2]
    assert told["Size"] == ("650 × 440", "640 × 448", "Sides are multiples of 64 here.")
    told = rows(found, fixed=True)
    assert told["Size"][:2] == ("650 × 440", "512 × 768") and "“Fog”" in told["Size"][2]
    found.random_source = RandomSource.NVIDIA
    assert "another" in rows(found)["Seed"][2]


def test_the_last_bits_of_a_seed_are_what_torch_takes() -> None:
    """What the sheet promises of seeds beyond 32 bits."""
    import torch

    noise = [
        torch.randn(64, generator=torch.Generator().manual_seed(seed)) for seed in (77, 2**50 + 77)
    ]
    assert torch.equal(*noise)


def test_what_fits_is_as_it_is_and_another_name_is_told() -> None:
    found = Imported("ComfyUI", "a fox", seed=5, sampler="dpmpp_2m karras", width=512, height=768,
                     scheduler="DPM++ 2M Karras", remarks={"scheduler": "Nearly."})  # fmt: skip
    told = rows(found)
    assert told["Seed"] == ("5", AS_IT_IS, "")
    assert told["Scheduler"] == ("dpmpp_2m karras", "DPM++ 2M Karras", "Nearly.")
    assert told["Size"] == ("512 × 768", AS_IT_IS, "")


def test_loras_that_are_here_are_taken_and_others_named() -> None:
    found = Imported("A", "x")
    found.add_lora("styles\\Fog.safetensors", 0.6)
    found.add_lora("ink", 40.0)
    found.add_lora("unknown", 1)
    origin = origin_of(PictureOrigin(imported=found), ["fog", "ink"])
    values = {setting.name: setting.value for setting in origin.settings}
    assert values["loras"] == (LoraUse("fog", 0.6), LoraUse("ink", 10.0))
    assert [text for name, text, _ in origin.left if name == "LoRA"] == ["unknown (1)"]


def test_a_seed_below_zero_is_left() -> None:
    origin = origin_of(PictureOrigin(imported=Imported("A", "x", seed=-1)))
    assert [name for name, _, _ in origin.left] == ["Seed"]
    assert "seed" not in {setting.name for setting in origin.settings}


def test_settings_of_web_uis_that_a_field_names_are_taken() -> None:
    """Whatever the request learns to say to web UIs it takes back from them."""
    found = Imported("A", "x", more={"guidance_rescale": "0.7", "nonsense": "1"})
    del found.more["nonsense"]
    origin = origin_of(PictureOrigin(imported=found))
    assert {s.name: s.value for s in origin.settings}["guidance_rescale"] == 0.7


def test_the_model_is_ticked_only_where_it_is_sure() -> None:
    in_use = entry("a", "Fog")
    for stated, ticked in (("Fog", True), ("Fogg", None)):
        origin = named(stated)
        first = import_rows(origin, match_model(origin, [in_use]), in_use)[0]
        assert (first.name, first.ticked) == ((MODEL, True) if ticked else ("", True))
    similar = named("mistral 7")
    other = entry("b", "mistral 8")
    first = import_rows(similar, match_model(similar, [other]), in_use)[0]
    assert (first.name, first.ticked, first.here) == (MODEL, False, "mistral 8")


def test_a_control_picture_that_is_not_here_is_told_and_to_be_chosen_again() -> None:
    led = (Control("Edges", "/here/a.png"), Control("Depth", "away.png"))
    record = PictureRecord(PictureRequest("x", "", controls=led), 64, 64, "Fog")
    origin = origin_of(PictureOrigin(record))
    assert origin.whole is not None
    assert origin.whole.request.controls == (led[0], Control("Depth", ""))
    assert [(name, text) for name, text, _ in origin.left] == [("Control picture", "away.png")]


def test_a_control_picture_is_known_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back from where it was used; another file in its place does not."""
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    lines = tmp_path / "lines.png"
    Image.new("RGB", (8, 8), "red").save(lines)
    led = (Control("Edges", str(lines), weight=0.5),)
    request = PictureRequest("x", "", controls=led, output_dir=str(tmp_path / "made"))
    known = Provenance(control_fingerprints=(mark_of(lines),))
    record = PictureRecord(request, 8, 8, "Fog", provenance=known)
    made = save_picture(np.zeros((8, 8, 3), np.uint8), record, request)
    places.remember(record)  # as the engine does
    assert str(tmp_path) not in read_fields(made).texts["sfumato"]

    def used() -> tuple[Control, ...]:
        origin = read_whole_origin(str(made))
        row = next(s for s in origin.settings if s.name == "controls")
        assert (row.label, row.text) == ("ControlNets", "Edges (0.5)")
        missing = [text for name, text, _ in origin.left if name == "Control picture"]
        draft = origin.put_into(Draft(), ["controls"])
        assert missing == ["lines.png"] * (draft.request.controls != led)
        return draft.request.controls

    assert used() == led
    Image.new("RGB", (8, 8), "blue").save(lines)
    assert used() == (Control("Edges", "", weight=0.5),)
    lines.unlink()
    assert used() == (Control("Edges", "", weight=0.5),)
