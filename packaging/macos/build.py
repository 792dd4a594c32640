"""``make app``: from a checkout to a signed, tested Sfumato.app and a disk image.  macOS only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import doctor, postbuild, sign

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "build" / "bundle-venv"
DIST = ROOT / "dist"
APP = DIST / "Sfumato.app"


def disk_image_command(app: Path, image: Path) -> list[str]:
    """hdiutil's command for a compressed image of the app."""
    return [
        "hdiutil", "create", "-volname", app.stem, "-srcfolder", str(app),
        "-format", "UDZO", "-ov", str(image),
    ]  # fmt: skip


def main() -> int:
    if sys.platform != "darwin":
        print("Sfumato.app can only be built on a Mac.", file=sys.stderr)
        return 1
    python = shutil.which(os.environ.get("PYTHON") or "python3.12")
    if python is None:
        print("Building Sfumato.app needs a framework Python 3.12.", file=sys.stderr)
        return 1
    _run([python, "-m", "venv", "--clear", str(VENV)])
    ours = str(VENV / "bin" / "python")
    lock = ROOT / "packaging" / "locks" / "bundle.txt"
    _run([ours, "-m", "pip", "install", "--quiet", "--requirement", str(lock)])
    shutil.rmtree(APP, ignore_errors=True)
    _run([ours, "setup_app.py", "--quiet", "py2app", "--dist-dir", str(DIST)])
    postbuild.finish(APP)
    if problems := doctor.examine(APP):
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    sign.sign(APP, os.environ.get("SIGNING_IDENTITY") or sign.AD_HOC)
    _run([str(APP / "Contents/MacOS/Sfumato"), "--self-test"])
    _run(disk_image_command(APP, DIST / "Sfumato.dmg"))
    return 0


def _run(command: list[str]) -> None:
    print("+", *command, flush=True)
    subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
