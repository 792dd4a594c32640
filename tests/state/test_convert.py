"""Conversions as the window sees them, on the real converter process with a stand-in inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gui import paths
from gui.convert.client import ConvertClient, partial_folder
from gui.errors import ErrorKind
from gui.hub.types import Machine
from gui.process import supervisor
from gui.state import desktop_status
from gui.state.convert import options as choices
from gui.state.convert import state as convert_module
from gui.state.convert.state import (
    Attention,
    ComponentKind,
    Compression,
    ConvertPhase,
    ConvertRequest,
    ConvertState,
    ConvertStatus,
    Family,
    ImageSize,
    Outlook,
    Progress,
    SourceInfo,
    Step,
    with_progress,
)
from gui.state.hub.state import HubState
from tests.support.hub_repo import Repo
from tests.support.hub_server import HubServer

GB = 2**30
AIR = Machine("Darwin", "15.2", "Apple M2", True, 8, 4, 8 * GB, 10**11)
STUDIO = Machine("Darwin", "14.5", "Apple M2 Max", True, 12, 8, 64 * GB, 10**11)
LINUX = Machine("Linux", "", "A processor", False, 2, 0, 16 * GB, 10**11)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SFUMATO_CONVERTER_STANDIN", "tests.support.fake_converter:backend")
    monkeypatch.setattr(convert_module, "_this_machine", lambda: AIR)
    return tmp_path


@pytest.fixture
def state(qapp) -> Iterator[ConvertState]:  # type: ignore[no-untyped-def]
    made = ConvertState()
    yield made
    made.close()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ConvertRequest]:
    def make_(text: str = "", name: str = "Made") -> ConvertRequest:
        source = tmp_path / "source.safetensors"
        source.write_text(text)
        return ConvertRequest(
            str(source), str(choices.output_folder(name, choices.taken_names())), name
        )

    return make_


def info(family: Family = Family.SD1, side: int = 512, unet: int = 860_000_000) -> SourceInfo:
    return SourceInfo(
        "/s", "s", True, family, "epsilon", (ComponentKind.UNET,), ImageSize(side, side),
        unet + 200_000_000, unet, 2_000_000_000,
    )  # fmt: skip


def until(qtbot, state: ConvertState, phase: ConvertPhase) -> None:  # type: ignore[no-untyped-def]
    qtbot.waitUntil(lambda: state.status.phase is phase)


def test_looking_says_what_the_source_is_and_what_machine_this_is(qtbot, state, make):
    found: list[SourceInfo] = []
    state.looked.connect(found.append)
    state.look(make().source)
    qtbot.waitUntil(lambda: bool(found))
    assert found[0].family is Family.SD1 and state.machine == AIR


def test_only_the_last_of_several_sources_is_announced(qtbot, state, make, tmp_path):
    other = tmp_path / "xl.safetensors"
    other.write_text("")
    seen: list[SourceInfo] = []
    state.looked.connect(seen.append)
    state.look(make().source)
    state.look(str(other))
    qtbot.waitUntil(lambda: bool(seen))
    state.look(str(other))  # by whose answer any of the first source would be there
    qtbot.waitUntil(lambda: len(seen) >= 2)
    assert [found.name for found in seen] == ["xl", "xl"]


def test_an_estimate_waits_until_the_person_has_stopped_changing_things(qtbot, state, make):
    request = make()
    seen: list[Outlook] = []
    state.estimated.connect(seen.append)
    for compression in (Compression.NONE, Compression.PALETTE_8, Compression.PALETTE_6):
        state.estimate(replace(request, compression=compression))
    qtbot.waitUntil(lambda: len(seen) >= 2)
    assert [outlook.estimate.disk_bytes for outlook in seen] == [1_040_000_000] * 2
    assert [outlook.checked for outlook in seen] == [False, True]


def test_a_conversion_from_start_to_finish(qtbot, state, make):
    request = make("sleep=0.05")
    fractions: list[float] = []
    state.status_changed.connect(lambda status: fractions.append(status.fraction))
    with qtbot.waitSignal(state.finished) as done:
        state.start(request)
        assert state.status.phase is ConvertPhase.RUNNING
    assert done.args[0].folders == (request.output,)
    assert Path(request.output).parent == paths.models_dir() and Path(request.output).is_dir()
    assert state.status.phase is ConvertPhase.DONE
    names = [row.name for row in state.status.rows]
    assert names == ["Text encoder", "UNet", "VAE decoder", "VAE encoder"]
    assert all(row.done and row.parities for row in state.status.rows)
    assert fractions == sorted(fractions)
    assert any("UNet: tracing" in line for line in state.log)


def test_a_second_conversion_does_not_disturb_the_first(qtbot, state, make):
    state.start(make("sleep=0.1"))
    first = state.status.request
    state.start(make("", "Other"))
    assert state.status.request == first
    until(qtbot, state, ConvertPhase.DONE)


def test_cancelling_leaves_nothing(qtbot, state, make, tmp_path):
    request = make(f"go={tmp_path / 'go'}")
    state.start(request)
    qtbot.waitUntil(lambda: len(state.status.rows) == 2)
    state.cancel()
    assert state.status.phase is ConvertPhase.STOPPING
    until(qtbot, state, ConvertPhase.CANCELLED)
    assert list(paths.models_dir().iterdir()) == [] and state.unfinished == []


def test_pausing_keeps_what_is_finished_and_going_on_uses_it(qtbot, state, make):
    request = make("hang_at=3")
    state.start(request)
    qtbot.waitUntil(lambda: len(state.status.rows) == 3)
    state.pause()
    until(qtbot, state, ConvertPhase.PAUSED)
    assert [each.request for each in state.unfinished] == [request]
    make("")
    state.resume()
    assert state.unfinished == []
    until(qtbot, state, ConvertPhase.DONE)
    assert [row.resumed for row in state.status.rows] == [True, True, False, False]


def test_a_converter_that_runs_out_of_memory_says_so_and_can_go_on(qtbot, state, make):
    request = make("kill_at=2")
    with qtbot.waitSignal(state.estimated):
        state.estimate(request)
    with qtbot.waitSignal(state.failed) as failed:
        state.start(request)
    assert failed.args[0].kind is ErrorKind.MEMORY and "7 GB" in failed.args[0].message
    assert state.status.phase is ConvertPhase.FAILED
    assert [row.done for row in state.status.rows] == [True, False]
    make("")
    state.resume()
    until(qtbot, state, ConvertPhase.DONE)


def test_closing_the_app_keeps_a_running_conversion_for_the_next_start(qtbot, qapp, make):
    first, second = ConvertState(), ConvertState()
    request = make("hang_at=2")
    first.start(request)
    qtbot.waitUntil(lambda: len(first.status.rows) == 2)
    first.close()
    with qtbot.waitSignal(second.unfinished_changed):
        second.find_unfinished()
    assert [each.request for each in second.unfinished] == [request]
    second.discard(second.unfinished[0])
    assert second.unfinished == []
    qtbot.waitUntil(lambda: not partial_folder(request.output).exists())
    second.close()


def test_the_model_list_shows_no_half_made_models(home, make):
    from gui.library.models.folders import model_folders

    work = partial_folder(make().output)
    (work / "unet.mlpackage").mkdir(parents=True)
    (work / "model" / "unet.mlpackage").mkdir(parents=True)
    assert list(model_folders(paths.models_dir())) == []


class TestProgress:
    def feed(self, *events: Progress) -> ConvertStatus:
        status = ConvertStatus(ConvertPhase.RUNNING)
        for event in events:
            status = with_progress(status, event)
        return status

    def test_a_new_component_ends_the_one_before(self) -> None:
        status = self.feed(
            Progress("Text encoder", Step.CONVERTING, 0, 3, 0.1),
            Progress("UNet", Step.READING, 1, 3, 0.2),
        )
        assert [row.done for row in status.rows] == [True, False]
        assert status.step == "Reading UNet" and status.total == 3

    def test_what_is_done_with_the_whole_model_is_no_component(self) -> None:
        status = self.feed(
            Progress("UNet", Step.CHECKING, 0, 1, 0.9),
            Progress("Model", Step.FINISHING, 1, 1, 0.95),
        )
        assert [(row.name, row.done) for row in status.rows] == [("UNet", True)]
        assert status.step == "Finishing"

    def test_the_bar_never_falls(self) -> None:
        status = self.feed(
            Progress("UNet", Step.READING, 0, 1, 0.6), Progress("UNet", Step.TRACING, 0, 1, 0.5)
        )
        assert status.fraction == 0.6


class TestRecommended:
    @pytest.mark.parametrize(
        ("machine", "source", "attention", "compression", "target"),
        [
            (AIR, info(), Attention.SPLIT_EINSUM, Compression.PALETTE_6, "macOS14"),
            (STUDIO, info(), Attention.ORIGINAL, Compression.NONE, "macOS13"),
            (LINUX, info(), Attention.SPLIT_EINSUM, Compression.NONE, "macOS13"),
            (
                AIR,
                info(Family.SDXL, 1024, 2_567_000_000),
                Attention.ORIGINAL,
                Compression.PALETTE_4,
                "macOS14",
            ),
        ],
    )
    def test_what_suits_a_machine(self, machine, source, attention, compression, target) -> None:
        preset = choices.recommended(source, machine)
        assert (preset.attention, preset.compression, preset.target) == (
            attention, compression, target
        )  # fmt: skip
        assert preset.reason.endswith(".")


class TestWords:
    def test_sizes(self) -> None:
        assert choices.parse_sizes("640x448, 512 × 512;640x448,") == (
            ImageSize(640, 448), ImageSize(512, 512)
        )  # fmt: skip
        with pytest.raises(ValueError, match="multiples of 64"):
            choices.parse_sizes("500x512")
        with pytest.raises(ValueError, match="not a picture size"):
            choices.parse_sizes("big")

    def test_every_size_on_offer_is_a_multiple_of_64(self) -> None:
        for side in (512, 768, 1024):
            for size in choices.size_presets(info(side=side)):
                assert size.width % 64 == size.height % 64 == 0

    def test_two_models_of_a_name_get_two_folders(self, home: Path) -> None:
        first = choices.output_folder("a/b: c.mlpackage", choices.taken_names())
        assert first.parent == paths.models_dir() and first.suffix != ".mlpackage"
        partial_folder(str(first)).mkdir(parents=True)
        second = choices.output_folder("a/b: c.mlpackage", choices.taken_names())
        assert second != first and second.name == f"{first.name} 2"
        third = choices.output_folder("A/B: C.mlpackage", [first.name, second.name])
        assert third.name == f"{first.name.upper()} 3", "on a Mac these are the same names"

    def test_facts(self) -> None:
        text = choices.facts_line(info(Family.SDXL, 1024, 2_567_000_000))
        assert text == "Stable Diffusion XL · 2.8 billion weights · 2.00 GB"


def test_the_desktop_follows_a_conversion(qtbot, state, make, monkeypatch):
    from tests.state.test_presence import Desktop, FakeStudio

    monkeypatch.setattr(desktop_status, "_is_in_front", lambda: False)
    studio, desktop = FakeStudio(), Desktop()
    bound = desktop_status.Presence(studio, desktop, convert=state)  # type: ignore[arg-type]
    with qtbot.waitSignal(state.finished):
        state.start(make("sleep=0.05"))
    assert desktop.calls[0] == ("begin",)
    assert desktop.calls.count(("begin",)) == desktop.calls.count(("end",)) == 1
    fractions = [call[1] for call in desktop.calls if call[0] == "progress"]
    assert 0.5 in fractions and fractions[-1] is None
    assert ("notify", "Made") in desktop.calls
    del bound


def test_a_model_named_on_the_hub_is_fetched_by_the_hub_process(
    qtbot, state, monkeypatch, tmp_path
):
    for name in ("HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    looked: list[SourceInfo] = []
    state.looked.connect(looked.append)
    state.source_failed.connect(lambda error: pytest.fail(f"{error} {error.detail}"))
    repo = Repo("maker/dreams", {"dreams.safetensors": b"psnr=50", "dreams.ckpt": bytes(9)})
    with HubServer([repo]) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        hub = HubState()
        try:
            state.sources.use(hub.downloads)
            state.fetch("maker/dreams")
            qtbot.waitUntil(lambda: bool(looked))
        finally:
            hub.close()
    request = state.with_origin(ConvertRequest(looked[0].path, str(tmp_path / "made")))
    assert (request.source_repo, len(request.source_revision)) == ("maker/dreams", 40)
    assert looked[0].name == "dreams" and not state.fetching


def test_a_conversion_stopped_while_its_process_starts_does_not_run_on(
    make: Callable[..., ConvertRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ConvertClient()
    start = supervisor.ChildProcess

    def slow_start(*arguments: object) -> object:
        process = start(*arguments)  # type: ignore[arg-type]
        client.abandon()  # as the window's thread does when it pauses or closes just then
        return process

    monkeypatch.setattr(supervisor, "ChildProcess", slow_start)
    request = make("sleep=1")
    ended = client.convert(request, lambda _: None, lambda: False)
    assert ended.report is None and ended.error is not None
    assert client.pid is None
