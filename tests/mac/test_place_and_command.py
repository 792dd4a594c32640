"""Moving the app to Applications, and its command for terminals: by programs that stand in for the
system's own, with real folders."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gui.errors import SfumatoError
from gui.mac import command_line, place
from gui.mac.place import PlaceKind

DITTO = 'cp -R "$1" "$2"'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    (folder / ".Trash").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with the Mac's commands: each notes its arguments, then does as told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    does(folder, "ditto", DITTO)
    for name in ("xattr", "open", "osascript"):
        does(folder, name, ":")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def does(folder: Path, name: str, deed: str) -> None:
    script = folder / name
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> "$0.log"\n{deed}\n')
    script.chmod(0o755)


def app_in(folder: Path, says: str = "new") -> Path:
    app = folder / "Sfumato.app"
    program = app / "Contents" / "MacOS" / "Sfumato"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho {says} "$@"\n')
    program.chmod(0o755)
    return app


def says(app: Path) -> str:
    program = app / "Contents" / "MacOS" / "Sfumato"
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()


def test_the_bundle_of_a_program() -> None:
    program = "/Applications/Sfumato.app/Contents/MacOS/Sfumato"
    assert place.bundle(program) == Path("/Applications/Sfumato.app")
    assert place.bundle("/usr/bin/python3") is None


def test_kinds_of_places(tmp_path: Path) -> None:
    assert place.kind_of(None) is PlaceKind.SETTLED
    assert place.kind_of(app_in(tmp_path)) is PlaceKind.SETTLED
    passing = Path("/private/var/folders/x/T/AppTranslocation/8F/d/Sfumato.app")
    assert place.kind_of(passing) is PlaceKind.TRANSLOCATED
    assert place.kind_of(Path("/Volumes/absent/Sfumato.app")) is PlaceKind.SETTLED


def test_a_read_only_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs("/")

    class ReadOnly:
        f_flag = real.f_flag | os.ST_RDONLY

    monkeypatch.setattr(place.os, "statvfs", lambda _path: ReadOnly)
    assert place.kind_of(Path("/Volumes/Sfumato/Sfumato.app")) is PlaceKind.IMAGE
    assert place.kind_of(Path("/opt/Sfumato.app")) is PlaceKind.SETTLED


def test_moved_and_started(tmp_path: Path, home: Path, commands: Path) -> None:
    app, target = app_in(tmp_path / "image"), tmp_path / "Applications" / "Sfumato.app"
    assert place.move(app, target.parent) == target
    assert says(target) == "new" and app.exists()
    assert (commands / "open.log").read_text().splitlines() == ["-n", str(target)]
    assert "com.apple.quarantine" in (commands / "xattr.log").read_text()
    assert [path.name for path in target.parent.iterdir()] == ["Sfumato.app"]


def test_an_earlier_one_goes_to_the_trash(tmp_path: Path, home: Path, commands: Path) -> None:
    folder = tmp_path / "Applications"
    app_in(folder, "old")
    (home / ".Trash" / "Sfumato (earlier).app").mkdir()
    place.move(app_in(tmp_path / "image"), folder)
    assert says(folder / "Sfumato.app") == "new"
    assert says(home / ".Trash" / "Sfumato (earlier) 2.app") == "old"


@pytest.mark.parametrize("deed", ["exit 1", 'cp -R "$1" "$2"; exit 1'])
def test_a_copy_that_fails_changes_nothing(
    tmp_path: Path, home: Path, commands: Path, deed: str
) -> None:
    does(commands, "ditto", deed)
    folder = tmp_path / "Applications"
    app_in(folder, "old")
    with pytest.raises(SfumatoError, match="move its icon there"):
        place.move(app_in(tmp_path / "image"), folder)
    assert says(folder / "Sfumato.app") == "old"
    assert len(list(folder.iterdir())) == 1 and not (commands / "open.log").exists()


def test_the_folder_for_applications(tmp_path: Path) -> None:
    assert place.applications_folder(tmp_path) == tmp_path
    assert place.applications_folder(tmp_path / "absent", tmp_path) == tmp_path / "Applications"


def test_the_command_starts_the_app(tmp_path: Path) -> None:
    app, folder = app_in(tmp_path / "狐 & foxes’ apps"), tmp_path / "bin"
    folder.mkdir()
    file = command_line.install(app, folder)
    done = subprocess.run([file, "generate", "two words"], capture_output=True, text=True)
    assert done.stdout == "new generate two words\n"
    assert command_line.look(app, folder).current
    other = app_in(tmp_path / "other")
    found = command_line.look(other, folder)
    assert found.ours and not found.current
    command_line.install(other, folder)
    assert command_line.look(other, folder).current
    command_line.remove(other, folder)
    assert not file.exists() and not list(folder.iterdir())


def test_another_programs_file_stays(tmp_path: Path) -> None:
    (tmp_path / "sfumato").write_text("#!/bin/sh\necho mine\n")
    app = app_in(tmp_path / "apps")
    with pytest.raises(SfumatoError, match="Another program's command"):
        command_line.install(app, tmp_path)
    command_line.remove(app, tmp_path)
    assert "mine" in (tmp_path / "sfumato").read_text()


def test_an_administrator_is_asked(tmp_path: Path, commands: Path) -> None:
    """What is run as one arrives as an argument, and would put the very script in its place."""
    does(commands, "osascript", 'for last; do :; done; sh -c "$last"')
    app = app_in(tmp_path / "apps of $(whoami)")
    folder = tmp_path / "absent" / "bin"
    assert command_line.install(app, folder).read_text() == command_line.script(app)
    assert "with administrator privileges" in (commands / "osascript.log").read_text()


def test_a_person_who_gives_no_password(tmp_path: Path, commands: Path) -> None:
    does(commands, "osascript", "echo 'User canceled. (-128)' >&2; exit 1")
    with pytest.raises(SfumatoError, match="as an administrator") as raised:
        command_line.install(app_in(tmp_path), tmp_path / "absent")
    assert "User canceled" in raised.value.detail
