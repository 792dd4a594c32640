"""``make app``: from a checkout to a signed and tested `dist/Sfumato.app`.  macOS only.

``SIGNING_IDENTITY`` names a Developer ID in the keychain; without it the app is signed ad hoc.
``PYTHON`` names a framework Python 3.12, as python.org's and `actions/setup-python`'s are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import contents, doctor, postbuild, sign

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "build" / "bundle-venv"
DIST = ROOT / "dist"
APP = DIST / "Sfumato.app"
LOCK = ROOT / "packaging" / "locks" / "bundle.txt"
VERSION = (3, 12)


def main() -> int:
    if sys.platform != "darwin":
        print("Sfumato.app can only be built on a Mac; make app-linux goes as far as it can.")
        return 1
    python = shutil.which(os.environ.get("PYTHON") or "python{}.{}".format(*VERSION))
    if python is None or not is_framework(python):
        print("Building Sfumato.app needs a framework Python 3.12; name it with PYTHON=…")
        return 1
    _run([python, "-m", "venv", "--clear", str(VENV)])
    ours = str(VENV / "bin" / "python")
    _run([ours, "-m", "pip", "install", "--quiet", "--requirement", str(LOCK)])
    shutil.rmtree(APP, ignore_errors=True)
    _run([ours, "setup_app.py", "--quiet", "py2app", "--dist-dir", str(DIST)])
    return finish(APP, os.environ.get("SIGNING_IDENTITY") or sign.AD_HOC)


def finish(app: Path, identity: str) -> int:
    """What follows py2app, on every system: prune, examine, tell what is in it, sign."""
    postbuild.finish(app)
    if problems := doctor.examine(app):
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    print(contents.table(app))
    sign.sign(app, identity)
    return 0


def is_framework(python: str) -> bool:
    """Whether py2app can copy this Python: it is of the right version and lies in a framework."""
    told = "import sys, sysconfig; print(*sys.version_info[:2], sysconfig.get_config_var({!r}))"
    command = [python, "-c", told.format("PYTHONFRAMEWORK")]
    answer = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return answer[:2] == [str(number) for number in VERSION] and len(answer) == 3


def _run(command: list[str]) -> None:
    print("+", *command, flush=True)
    subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
