"""`prove_on_mac.sh` with stand-ins for the Mac's commands: every place is tried, failures count."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "packaging/macos/prove_on_mac.sh"

COMMANDS = {
    # The "image" is a folder that holds the app.
    "hdiutil": 'case $1 in attach) for last; do :; done; cp -R "$last/." "$6";; esac',
    "ditto": 'mkdir -p "$(dirname "$2")" && cp -R "$1" "$2"',
    "xattr": 'echo "$@" >> "$NOTES"',
    "uuidgen": "echo 00000000-0000-0000-0000-000000000000",
    "spctl": "exit ${REFUSED:-0}",
    "sw_vers": "echo ProductVersion: 15.1",
    "sysctl": "echo Apple M9",
    # Launch Services starts it elsewhere and hands on what follows --args.
    "open": 'copy=$9; log=$4; shift 10; "$copy/Contents/MacOS/Sfumato" "$@" > "$log"; '
    'echo /AppTranslocation/ >> "$log"',
}

APP = """\
#!/bin/sh
echo "$0 $*" >> "$NOTES"
[ "$1" = --self-test ] && [ "$2" = --report ] || exit 9
case $0 in *${BROKEN:-nowhere}*) exit 1 ;; esac
echo '{}' > "$3"
echo "self-test passed"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an app, an image of it, and the Mac's commands."""
    for name, text in COMMANDS.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(0o755)
    for folder in ("dist", "dist/image"):
        program = tmp_path / folder / "Sfumato.app/Contents/MacOS/Sfumato"
        program.parent.mkdir(parents=True)
        program.write_text(APP)
        program.chmod(0o755)
    (tmp_path / "Applications").mkdir()
    return tmp_path


def prove(place: Path, *places: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{place / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin", "TMPDIR": str(place),
        "APPLICATIONS": str(place / "Applications"), "NOTES": str(place / "notes"), **changes,
    }  # fmt: skip
    dist = place / "dist"
    command = [str(SCRIPT), str(dist / "Sfumato.app"), str(dist / "image"), str(place / "out")]
    return subprocess.run([*command, *places], env=environment, capture_output=True, text=True)


def test_every_place_is_tried_and_reported(place: Path) -> None:
    done = prove(place)
    assert done.returncode == 0, done.stdout + done.stderr
    names = ["build", "image", "applications", "odd-folder", "quarantined"]
    assert [line.split() for line in done.stdout.splitlines()] == [["ok", name] for name in names]
    assert {path.name for path in (place / "out").glob("*.json")} == {f"{n}.json" for n in names}
    assert "Apple M9" in (place / "out/machine.txt").read_text()
    notes = (place / "notes").read_text()
    assert "Ωμέγα пример 写真" in notes and "com.apple.quarantine 0081;" in notes
    assert list((place / "Applications").iterdir()) == []
    assert not list(place.glob("tmp.*")), "nothing stays behind"


@pytest.mark.parametrize("broken", ["volume", "Applications", "dist/Sfumato.app"])
def test_one_failure_fails_the_proof_and_the_others_still_run(place: Path, broken: str) -> None:
    done = prove(place, BROKEN=broken)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 5 and done.stdout.count("FAILED") == 1


def test_an_app_that_is_there_already_is_left_alone(place: Path) -> None:
    mine = place / "Applications/Sfumato.app/mine"
    mine.mkdir(parents=True)
    done = prove(place, "applications")
    assert done.returncode == 1 and "APPLICATIONS" in done.stderr and mine.is_dir()


def test_what_gatekeeper_refuses_fails_only_a_release(place: Path) -> None:
    assert prove(place, "quarantined", REFUSED="3").returncode == 0
    assert "Not notarised" in (place / "out/quarantined.log").read_text()
    assert prove(place, "quarantined", REFUSED="3", REQUIRE_NOTARISED="yes").returncode == 1


def test_an_unknown_place_is_a_mistake(place: Path) -> None:
    done = prove(place, "moon")
    assert done.returncode == 2 and "moon" in done.stderr
