"""`packaging/setup_dev.sh` on machines of all kinds, with stand-ins for apt, pip and Python."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TOOLS = ("cat", "cksum", "cp", "dirname", "env", "grep", "mkdir", "rm", "sh")

LIBRARIES = [
    "libglib-2.0.so.0", "libGL.so.1", "libEGL.so.1", "libfontconfig.so.1", "libxkbcommon.so.0",
    "libdbus-1.so.3", "libxcb-cursor.so.0", "libxcb-icccm.so.4", "libxcb-image.so.0",
    "libxcb-keysyms.so.1", "libxcb-render-util.so.0", "libxcb-shape.so.0", "libxcb-xkb.so.1",
    "libxkbcommon-x11.so.0",
]  # fmt: skip

# Answers like a Python of this version, and writes down what pip is asked for.
PYTHON = """#!/bin/sh
case "$*" in
    -c*version_info*exit*|-c*sys.exit*) exit {fits} ;;
    -c*ensurepip*) exit {venv} ;;
    -c*-venv*) echo python3.11-venv ;;
    --version) echo "Python 3.11.2" ;;
    "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m pip"*) echo "$*" >> "$LOG" ;;
esac
"""


class Machine:
    """A made-up machine: a checkout, and a PATH with nothing but what was put there."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.checkout = folder / "check out"  # people do put spaces into folder names
        self.log = folder / "log"
        self.bin.mkdir()
        for name in TOOLS:
            where = shutil.which(name)
            assert where
            (self.bin / name).symlink_to(where)
        self.command("uname", "echo ${SYSTEM:-Linux}")
        self.user(0)
        self.libraries(LIBRARIES)
        self.command("apt-get", 'echo "apt-get $*" >> "$LOG"')
        self.python()
        for name in ("Xvfb", "xauth", "openbox", "xdotool", "exiftool"):
            self.command(name, "")
        for name in ("packaging/setup_dev.sh", "packaging/build_with_resources.py",
                     "packaging/locks/development.txt", "pyproject.toml",
                     "gui/__init__.py"):  # fmt: skip
            target = self.checkout / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)

    def command(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(body if body.startswith("#!") else f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def python(self, name: str = "python3", *, fits: bool = True, venv: bool = True) -> None:
        self.command(name, PYTHON.format(fits=int(not fits), venv=int(not venv)))

    def user(self, number: int) -> None:
        self.command("id", f"echo {number}")

    def libraries(self, names: list[str]) -> None:
        lines = "\n".join(f"\t{name} (libc6,x86-64) => /lib/{name}" for name in names)
        self.command("ldconfig", f"cat <<'END'\n{lines}\nEND")

    def remove(self, name: str) -> None:
        (self.bin / name).unlink()

    def set_up(self, purpose: str = "test", **environment: str) -> subprocess.CompletedProcess:
        self.log.write_text("")
        return subprocess.run(
            [str(self.checkout / "packaging/setup_dev.sh"), purpose],
            env={"PATH": str(self.bin), "LOG": str(self.log), **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def asked(self, what: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if what in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_torch_is_asked_for_first_and_alone(machine: Machine) -> None:
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    first, second, third = machine.asked("pip install")
    lock = (ROOT / "packaging/locks/development.txt").read_text()
    (torch,) = [line for line in lock.splitlines() if line.startswith("torch==")]
    assert first.split()[-1] == torch and "index" not in first
    assert second.endswith("--requirement packaging/locks/development.txt")
    assert "--editable ." in third and "--no-deps" in third
    assert not machine.asked("apt-get")


def test_torch_can_come_from_another_index(machine: Machine) -> None:
    machine.set_up(TORCH_INDEX_URL="https://example.org/cpu")
    with_index = machine.asked("--index-url https://example.org/cpu")
    assert len(with_index) == 1 and "torch==" in with_index[0]


def test_second_run_installs_nothing(machine: Machine) -> None:
    machine.set_up()
    done = machine.set_up()
    assert done.returncode == 0
    assert machine.log.read_text() == "" and done.stderr == ""


def test_changed_lock_is_installed(machine: Machine) -> None:
    machine.set_up()
    with (machine.checkout / "packaging/locks/development.txt").open("a") as lock:
        lock.write("another-package==1.0\n")
    machine.set_up()
    assert machine.asked("--requirement")


def test_root_gets_exactly_the_missing_packages(machine: Machine) -> None:
    machine.libraries([name for name in LIBRARIES if "EGL" not in name])
    machine.remove("Xvfb")
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert machine.asked("apt-get")[0] == "apt-get update -q"
    install = machine.asked("apt-get install")[0]
    assert install.split("--no-install-recommends ")[1].split() == ["libegl1", "xvfb"]


def test_running_needs_no_test_tools(machine: Machine) -> None:
    machine.remove("Xvfb")
    machine.libraries([name for name in LIBRARIES if "xcb" not in name])
    assert machine.set_up("run").returncode == 0
    assert not machine.asked("apt-get")
    machine.set_up("run", DISPLAY=":0")
    assert "libxcb-cursor0" in machine.asked("apt-get install")[0], "a window needs Qt's xcb plugin"


def test_others_are_told_the_exact_command(machine: Machine) -> None:
    machine.user(1000)
    machine.libraries([name for name in LIBRARIES if "GL.so" not in name])
    done = machine.set_up()
    assert done.returncode == 1
    command = done.stderr.splitlines()[-1].strip()
    assert command == (
        "sudo apt-get update && sudo apt-get install --no-install-recommends libgl1 libegl1"
    )
    assert machine.log.read_text() == ""


def test_sudo_is_used_where_it_asks_nothing(machine: Machine) -> None:
    machine.user(1000)
    machine.command("sudo", '[ "$1" = -n ] && exit 0; echo "sudo $*" >> "$LOG"; exec "$@"')
    machine.remove("xdotool")
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert "xdotool" in machine.asked("sudo env")[0]


def test_missing_venv_module_is_installed(machine: Machine) -> None:
    machine.python(venv=False)
    machine.set_up()
    assert "python3.11-venv" in machine.asked("apt-get install")[0]


def test_another_python_is_found_when_python3_does_not_fit(machine: Machine) -> None:
    machine.python(fits=False)
    machine.python("python3.12")
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert len(machine.asked("pip install")) == 3


def test_no_fitting_python_on_a_mac_is_said_in_words(machine: Machine) -> None:
    machine.python(fits=False)
    done = machine.set_up("run", SYSTEM="Darwin")
    assert done.returncode == 1
    assert "3.11, 3.12 or 3.13" in done.stderr
    assert not machine.asked("apt-get")


def test_other_linux_systems_are_told_what_is_missing(machine: Machine) -> None:
    machine.remove("apt-get")
    machine.libraries(LIBRARIES[1:])
    done = machine.set_up()
    assert done.returncode == 1
    assert "libglib2.0-0" in done.stderr and "package manager" in done.stderr
