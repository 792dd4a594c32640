"""Details of models and variants speak of what a person wants to know, the rest behind a door."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from gui import words
from gui.coreml.model import Attention, Family
from gui.coreml.sidecar import ModelCard, Sidecar
from gui.hub.types import Distilled, DownloadState, DownloadStatus, Machine, Variant
from gui.hub.variants import verdict
from gui.state import describe
from gui.state.hub.catalogue import CatalogueRow
from gui.state.model_entry import ModelEntry
from gui.ui.hub.card import counts_of, facts_of
from gui.ui.hub.variant_list import VariantFacts
from gui.ui.models.panel import ModelDetails
from gui.ui.widgets.controls import ElidedLabel
from tests.support import fake_hub
from tests.ui.conftest import make_info

JARGON = (
    "v_prediction", "epsilon", "palette", "bits", "einsum", "Attention", "Original", "UNet",
    "VAE", "Latent", "0.18215",
)  # fmt: skip
SIDECAR = Sidecar(
    Family.SD1,
    prediction_type="v_prediction",
    default_steps=4,
    default_scheduler="LCM",
    source_repo="ada/fog",
    card=ModelCard("Draws <b>fog</b>.", licence="creativeml-openrail-m"),
)


def entry_of(**facts) -> ModelEntry:
    info = dataclasses.replace(
        make_info(Path("/models/fog"), size=(512, 768), **facts),
        compression="mixed palette (6.9 bits)",
        attention=Attention.ORIGINAL,
        notes=("Pictures cannot be the starting point: the model has no VAE encoder.",),
    )
    return ModelEntry(info.folder, info=info, sidecar=SIDECAR, memory=2_600_000_000)


@pytest.fixture
def details(qtbot) -> ModelDetails:
    made = ModelDetails()
    qtbot.addWidget(made)
    made.show()
    return made


def test_details_say_first_what_a_person_wants_to_know(details):
    details.set_entry(entry_of(encoder=False))
    shown = details.text.text()
    for fact in (
        "Pictures from words", "512 × 768 pixels", "Fast, 4 steps for a picture",
        "about 2.4 GB while it works", "1.23 GB", "ada/fog", "CreativeML OpenRAIL-M",
        "Begin with a starting picture", "Draws &lt;b&gt;fog",
    ):  # fmt: skip
        assert fact in shown
    assert not [word for word in JARGON if word in shown]
    assert not details.technical.text.isVisible(), "a door is closed until it is opened"
    details.technical.button.click()
    assert details.technical.text.isVisible()
    behind = details.technical.text.text()
    for fact in ("Velocity (v-prediction)", "Mixed palette (6.9 bits)", "Original", "no VAE enc"):
        assert fact in behind


def test_what_a_model_can_do_is_no_lack(details):
    details.set_entry(entry_of())
    assert "or from a starting picture" in details.text.text()
    assert "Can’t" not in details.text.text()


def test_a_model_that_cannot_be_read_has_no_technical_details(details):
    details.set_entry(ModelEntry(Path("/models/none"), problem="Nothing is there."))
    assert "Nothing is there." in details.text.text()
    assert details.technical.isHidden()


def test_facts_of_a_variant_say_first_what_a_person_wants_to_know(qtbot):
    facts = VariantFacts()
    qtbot.addWidget(facts)
    facts.show()
    variant = fake_hub.variant(
        "original/compiled", has_encoder=False, compression="mixed palette (6.9 bits)",
        distilled=Distilled(4, "Lightning"),
    )  # fmt: skip
    facts.set_variant(variant)
    shown = facts.text.text()
    for fact in (
        "512 × 512 pixels", "1.60 GB", "about 2.2 GB", "13 or later", "4 steps",
        "Begin with a starting picture",
    ):  # fmt: skip
        assert fact in shown
    assert not [word for word in JARGON if word in shown]
    assert not facts.technical.text.isVisible()
    told = ("4 steps, Lightning (by its name)", "Original", "Mixed palette (6.9 bits)", "Compiled")
    for fact in told:
        assert fact in facts.technical.text.text()
    facts.set_variant(None)
    assert facts.text.text() == "" and facts.technical.isHidden()


@pytest.mark.parametrize(
    ("steps", "width", "height", "text"),
    [
        (0, 0, 0, "Usual, 25 steps for a picture"),
        (25, 512, 512, "Usual, 25 steps for a picture"),
        (25, 1024, 1024, "Slow, 25 steps for a picture"),
        (4, 1024, 1024, "Fast, 4 steps for a picture"),
        (1, 512, 512, "Fast, 1 step for a picture"),
        (18, 128, 128, "Fast, 18 steps for a picture"),
        (60, 512, 512, "Slow, 60 steps for a picture"),
    ],
)
def test_how_fast_a_model_is(steps, width, height, text):
    assert words.pace(steps, width, height) == text


@pytest.mark.parametrize("system", ["Darwin", "Linux"])
def test_memory_of_a_model_here_is_that_of_the_same_variant_there(system):
    info = make_info(Path("/models/fog"))
    parts = {
        kind: dataclasses.replace(part, size_bytes=10**8 * number)
        for number, (kind, part) in enumerate(info.components.items(), 1)
    }
    machine = Machine(system, "15.0" if system == "Darwin" else "", memory_bytes=2**34)
    encoder = parts[list(parts)[-1]].size_bytes
    whole = sum(part.size_bytes for part in parts.values())
    same = Variant(
        "x", "x", (), family=Family.SD1, attention=info.attention, compression=info.compression,
        image_width=512, image_height=512, weight_bytes=whole - encoder, unet_bytes=2 * 10**8,
    )  # fmt: skip
    here = verdict.memory_of(dataclasses.replace(info, components=parts), machine)
    assert here == verdict.memory(same, machine) > 10**9


def distinct(values: list) -> list:
    """Without repetitions that follow one another."""
    return [value for value, _ in itertools.groupby(values)]


def test_a_narrow_card_leaves_out_whole_facts_and_keeps_the_author(qapp):
    long = fake_hub.summary("a-very-long-owner/coreml-model", likes=123456, downloads=98765432)
    row = CatalogueRow(long)
    numbers = [[text for _, text in counts_of(row, width)] for width in range(300, 20, -5)]
    assert distinct(numbers) == [["98.8M", "123k"], ["123k"], []]
    row = CatalogueRow(long, fake_hub.details(long))
    whole = facts_of(row)
    facts = distinct([facts_of(row, width) for width in range(300, 20, -5)])
    assert facts == [whole, "SD 1 · 1.60 GB", "SD 1"] and whole.startswith("SD 1 · 1.60 GB · ")


def test_a_narrow_column_shows_whole_figures(qtbot):
    status = DownloadStatus(
        "d", "a/b", "v", "b", "r", DownloadState.FETCHING, 1_600_000_000, 312_000_000,
        bytes_per_second=24e6, seconds_left=3905,
    )  # fmt: skip
    line = ElidedLabel("", "small")
    qtbot.addWidget(line)
    line.show()
    line.set_text(describe.download_state(status), *describe.shorter_download_states(status))
    seen = []
    for width in range(600, 80, -20):
        line.resize(width, 20)
        if line.text() not in seen:
            seen.append(line.text())
        assert line.fontMetrics().horizontalAdvance(line.text()) <= width
    assert seen == [
        "312 MB of 1.60 GB · 24.0 MB/s · 1 h 5 min left",
        "312 MB of 1.60 GB · 1 h 5 min left",
        "1 h 5 min left",
    ]
    assert "24.0 MB/s" in line.toolTip()
