"""Desktop services: the fallback runs the system's own commands; Cocoa is asked for the rest."""

from __future__ import annotations

import importlib
import sys
import time
import types
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.mac import FallbackServices, MacServices, Program, mac_services


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of real executables that write the arguments they were given to ``<name>.log``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("open", "xdg-open", "osascript", "notify-send", "caffeinate"):
        script = folder / name
        wait = "exec sleep 60" if name == "caffeinate" else ""
        script.write_text(
            f'#!/bin/sh\nfor a in "$@"; do printf "%s\\n" "$a"; done > "$0.tmp"\n'
            f'mv "$0.tmp" "$0.log"\n{wait}\n'
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def arguments(commands: Path, name: str) -> list[str]:
    log = commands / f"{name}.log"
    deadline = time.monotonic() + 10
    while not log.exists():
        assert time.monotonic() < deadline, f"{name} was not run"
        time.sleep(0.01)
    return log.read_text().splitlines()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a fox & its den.png"
    path.write_bytes(b"png")
    return path


def test_reveal_selects_the_file_in_finder(commands: Path, picture: Path) -> None:
    FallbackServices("darwin").reveal(picture)
    assert arguments(commands, "open") == ["-R", str(picture)]


def test_reveal_opens_the_folder_elsewhere(commands: Path, picture: Path) -> None:
    FallbackServices("linux").reveal(picture)
    assert arguments(commands, "xdg-open") == [str(picture.parent)]


def test_reveal_says_that_a_file_is_gone(commands: Path, picture: Path) -> None:
    picture.unlink()
    with pytest.raises(SfumatoError, match="no longer") as error:
        FallbackServices("linux").reveal(picture)
    assert error.value.kind is ErrorKind.STORAGE


def test_reveal_says_that_there_is_no_file_manager(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SfumatoError, match="file manager") as error:
        FallbackServices("linux").reveal(picture)
    assert error.value.kind is ErrorKind.UNSUPPORTED


def test_notification_texts_stay_arguments(commands: Path) -> None:
    hostile = 'done" & (do shell script "false") & "'
    FallbackServices("darwin").notify("Sfumato", hostile)
    assert arguments(commands, "osascript")[-2:] == ["Sfumato", hostile]
    FallbackServices("linux").notify("--help", "body")
    assert arguments(commands, "notify-send")[-3:] == ["--", "--help", "body"]


def test_activity_keeps_a_mac_awake_until_it_ends(commands: Path) -> None:
    services = FallbackServices("darwin")
    services.begin_activity("Making a picture")
    first = services._awake
    services.begin_activity("Making another picture")
    assert first is not None and services._awake is first
    assert arguments(commands, "caffeinate")[0] == "-i"
    assert first.poll() is None
    services.end_activity()
    assert first.poll() is not None
    services.end_activity()


@pytest.mark.parametrize(
    ("supplies", "battery"),
    [
        ({}, False),  # a desktop computer
        ({"BAT0": {"type": "Battery", "status": "Discharging"}}, True),
        ({"BAT0": {"type": "Battery", "status": "Charging"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Full"}}, False),
        (
            {
                "AC": {"type": "Mains", "online": "0"},
                "BAT0": {"type": "Battery", "scope": "System", "status": "Discharging"},
                "BAT1": {"type": "Battery", "status": "Unknown"},
            },
            True,
        ),
        (  # a weak charger: it is emptied all the same
            {
                "ucsi-0": {"type": "USB", "online": "1"},
                "BAT0": {"type": "Battery", "status": "Discharging"},
            },
            False,
        ),
        ({"mouse": {"type": "Battery", "scope": "Device", "status": "Discharging"}}, False),
    ],
)
def test_linux_tells_the_battery_from_the_line(
    tmp_path: Path, supplies: dict[str, dict[str, str]], battery: bool
) -> None:
    """File names and values as the kernel documents them (sysfs-class-power)."""
    for name, files in supplies.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(f"{text}\n")
    assert FallbackServices("linux", tmp_path).on_battery() is battery
    assert not FallbackServices("linux", tmp_path / "absent").on_battery()


@pytest.mark.parametrize(
    ("told", "battery"),
    [
        ("Now drawing from 'AC Power'\n -InternalBattery-0\t100%; charged;", False),
        ("Now drawing from 'Battery Power'\n -InternalBattery-0\t91%; discharging;", True),
        ("", False),
    ],
)
def test_a_mac_tells_the_battery_from_the_line(commands: Path, told: str, battery: bool) -> None:
    (commands / "pmset").write_text(
        f"#!/bin/sh\n[ \"$*\" = '-g batt' ] && cat <<'END'\n{told}\nEND\n"
    )
    (commands / "pmset").chmod(0o755)
    assert FallbackServices("darwin").on_battery() is battery
    (commands / "pmset").unlink()
    assert not FallbackServices("darwin").on_battery()


@pytest.mark.parametrize(
    ("told", "saves"),
    [
        (" lowpowermode         1\n womp                 1", True),
        (" lowpowermode         0\n womp                 1", False),
        (" womp                 1", False),
        ("", False),
    ],
)
def test_a_mac_tells_its_low_power_mode(commands: Path, told: str, saves: bool) -> None:
    (commands / "pmset").write_text(f"#!/bin/sh\n[ \"$*\" = '-g' ] && cat <<'END'\n{told}\nEND\n")
    (commands / "pmset").chmod(0o755)
    assert FallbackServices("darwin").saves_energy() is saves


def test_linux_tells_that_it_saves_energy(tmp_path: Path) -> None:
    profile = tmp_path / "platform_profile"
    assert not FallbackServices("linux", profile=profile).saves_energy()
    for name, saves in (("low-power", True), ("balanced", False)):
        profile.write_text(f"{name}\n")
        assert FallbackServices("linux", profile=profile).saves_energy() is saves


def test_this_machine_gets_services() -> None:
    services = mac_services()
    assert services.on_battery() in (True, False)
    assert services.saves_energy() in (True, False)
    assert isinstance(services, MacServices)
    services.set_progress(0.5)
    services.set_progress(None)
    services.set_badge("2")
    services.set_badge("")


@pytest.fixture
def cocoa(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """`CocoaServices` over stand-ins for pyobjc's two modules."""
    appkit, foundation, objc = MagicMock(), MagicMock(), MagicMock()
    foundation.NSActivityUserInitiated = 0x00FFFFFF
    size = appkit.NSApplication.sharedApplication().dockTile().size.return_value
    size.width = size.height = 128.0
    monkeypatch.setitem(sys.modules, "AppKit", appkit)
    monkeypatch.setitem(sys.modules, "Foundation", foundation)
    monkeypatch.setitem(sys.modules, "objc", objc)
    monkeypatch.delitem(sys.modules, "gui.mac.cocoa", raising=False)
    module = importlib.import_module("gui.mac.cocoa")
    monkeypatch.delitem(sys.modules, "gui.mac.cocoa")
    tile = appkit.NSApplication.sharedApplication().dockTile()
    bar = appkit.NSProgressIndicator.alloc().initWithFrame_()
    info = foundation.NSProcessInfo.processInfo()
    return types.SimpleNamespace(
        services=module.CocoaServices(), tile=tile, bar=bar, info=info, appkit=appkit,
        foundation=foundation, objc=objc,
    )  # fmt: skip


def test_dock_bar_is_made_once_and_clamped(cocoa: types.SimpleNamespace) -> None:
    for fraction in (0.25, 1.5, -1.0):
        cocoa.services.set_progress(fraction)
    assert [call.args[0] for call in cocoa.bar.setDoubleValue_.call_args_list] == [0.25, 1.0, 0.0]
    assert cocoa.tile.setContentView_.call_count == 1
    cocoa.services.set_progress(None)
    assert cocoa.tile.setContentView_.call_args.args == (None,)


def test_activity_is_begun_once_and_ended_by_its_token(cocoa: types.SimpleNamespace) -> None:
    cocoa.services.begin_activity("Making a picture")
    cocoa.services.begin_activity("Making a picture")
    token = cocoa.info.beginActivityWithOptions_reason_.return_value
    cocoa.info.beginActivityWithOptions_reason_.assert_called_once_with(
        0x00FFFFFF, "Making a picture"
    )
    cocoa.services.end_activity()
    cocoa.services.end_activity()
    cocoa.info.endActivity_.assert_called_once_with(token)


def test_cocoa_offers_every_service(cocoa: types.SimpleNamespace) -> None:
    assert isinstance(cocoa.services, MacServices)


def test_files_are_opened_with_the_program_that_was_chosen(commands: Path, picture: Path) -> None:
    program = Program("Paint", Path("/Applications/Paint.app"))
    FallbackServices("darwin").open_with([picture, picture], program)
    assert arguments(commands, "open") == ["-a", "/Applications/Paint.app", *[str(picture)] * 2]
    (commands / "open.log").unlink()
    FallbackServices("darwin").open_with([picture])
    assert arguments(commands, "open") == [str(picture)]
    FallbackServices("linux").open_with([picture])
    assert arguments(commands, "xdg-open") == [str(picture)]


def test_what_no_program_can_open_is_said(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SfumatoError, match="shows pictures"):
        FallbackServices("linux").open_with([picture])


def test_other_desktops_neither_share_nor_hang_pictures() -> None:
    services = FallbackServices("linux")
    assert not services.can_share and not services.can_set_wallpaper
    assert services.applications(Path("/a.png")) == []


def test_programs_are_listed_once_the_usual_one_first(
    cocoa: types.SimpleNamespace, picture: Path
) -> None:
    workspace = cocoa.appkit.NSWorkspace.sharedWorkspace()
    preview, paint, ours = (
        types.SimpleNamespace(path=lambda name=name: f"/Applications/{name}.app")
        for name in ("Preview", "Paint", "Sfumato")
    )
    workspace.URLForApplicationToOpenURL_.return_value = preview
    workspace.URLsForApplicationsToOpenURL_.return_value = [paint, preview, ours]
    cocoa.foundation.NSBundle.mainBundle().bundlePath.return_value = "/Applications/Sfumato.app"
    assert [program.name for program in cocoa.services.applications(picture)] == [
        "Preview", "Paint",
    ]  # fmt: skip
    workspace.URLForApplicationToOpenURL_.return_value = None
    workspace.URLsForApplicationsToOpenURL_.return_value = None
    assert cocoa.services.applications(picture) == []


def test_sharing_shows_the_systems_list_at_its_place(
    cocoa: types.SimpleNamespace, picture: Path
) -> None:
    cocoa.services.share([picture, picture], 4711, (30, 40))
    url = cocoa.foundation.NSURL.fileURLWithPath_isDirectory_
    assert url.call_args.args == (str(picture), False), "the disk is not asked"
    made = cocoa.appkit.NSSharingServicePicker.alloc().initWithItems_
    assert made.call_args.args == ([url.return_value] * 2,)
    cocoa.objc.objc_object.assert_called_once_with(c_void_p=4711)
    shown = made.return_value.showRelativeToRect_ofView_preferredEdge_.call_args.args
    assert shown[0] == ((30, 40), (1, 1)) and shown[1] is cocoa.objc.objc_object.return_value


def test_a_desktop_picture_is_set_on_every_screen_or_said(
    cocoa: types.SimpleNamespace, picture: Path
) -> None:
    cocoa.appkit.NSScreen.screens.return_value = ["one", "two"]
    workspace = cocoa.appkit.NSWorkspace.sharedWorkspace()
    place = workspace.setDesktopImageURL_forScreen_options_error_
    place.return_value = (True, None)
    cocoa.services.set_wallpaper(picture)
    assert [call.args[1] for call in place.call_args_list] == ["one", "two"]
    place.return_value = (False, "refused")
    with pytest.raises(SfumatoError, match="System Settings") as error:
        cocoa.services.set_wallpaper(picture)
    assert error.value.detail == "refused"
