"""``make check-app``: what can be proved of the bundle on Linux, in about half an hour.

1. py2app builds the bundle with this machine's packages (`harness.py linux`).  Moved to a folder
   with spaces and letters of other scripts, and read-only, it passes its own self-test inside:
   window, children, a picture, a conversion; afterwards no file of it has changed.
2. What real use imports (`trace.py`: window, pictures, conversion, Hub, exports) is in it.
3. The locked packages have wheels for macOS and Python 3.12, and need nothing that is not locked.
4. `app_linux.py`: the bundle of macOS' packages is sound, within its sizes, signed and packed.
5. The release workflow, by actionlint.

``--only self-test wheels …`` runs some of them.  Results are kept in `build/check-app`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[2]))

from macos import app_linux, contents, trace

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "check-app"
ODD = "Ωμέγα пример 写真"
NOBODY = 65534
NODE = "actionlint@2.0.6"
NEWER_RUNNERS = ("macos-14", "macos-15", "macos-26", "ubuntu-24.04")
"""Labels that this actionlint is too old to know."""


def self_test() -> list[str]:
    """Build for Linux, move, make read-only, run the self-test from inside."""
    _run(sys.executable, str(Path(__file__).with_name("harness.py")), "linux", str(WORK / "dist"),
         "--work", str(WORK / "py2app"))  # fmt: skip
    place = WORK / ODD
    if place.exists():
        _writable(place, True)
        shutil.rmtree(place)
    place.mkdir()
    app = place / "Sfumato.app"
    (WORK / "dist/Sfumato.app").rename(app)
    _writable(place, False)
    before = fingerprint(app)
    home = WORK / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    # Root may write everywhere; as nobody, read-only is read-only.
    as_root = os.geteuid() == 0 and _reachable(WORK)
    if as_root:
        os.chown(home, NOBODY, NOBODY)
    environment = {
        "HOME": str(home), "TMPDIR": str(home), "PATH": "/usr/bin:/bin",
        "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
    }  # fmt: skip
    report = home / "report.json"
    done = subprocess.run(
        [str(app / "Contents/MacOS/Sfumato"), "--self-test", "--report", str(report)],
        env=environment, cwd=home, user=NOBODY if as_root else None,
    )  # fmt: skip
    problems = [] if done.returncode == 0 else ["The bundle's self-test failed."]
    if fingerprint(app) != before:
        problems.append("The bundle changed while it ran.")
    return problems


def modules() -> list[str]:
    """Compare what real use imports with the bundle, both ways."""
    app = WORK / ODD / "Sfumato.app"
    if not app.is_dir():
        return ["There is no bundle; run self-test first."]
    home = WORK / "trace-home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    os.environ.update(SFUMATO_HOME=str(home), QT_QPA_PLATFORM="offscreen")
    sfumato = [sys.executable, "-m", "gui"]
    picture = str(home / "apple.png")
    import setup_app

    # Whole packages: a part of one, such as coremltools.test, is none of this.
    without = {name for name in setup_app.EXCLUDES if "." not in name} - {"setuptools"}
    imported = trace.trace(
        [
            [*sfumato, "--self-test"],
            [*sfumato, "--offscreen-run", "--out", str(home)],
            [*sfumato, "generate", "a red apple", "--seed", "1", "-o", picture],
            [*sfumato, "verify", picture],
            [*sfumato, "metadata", picture],
            [*sfumato, "upscale", picture],
            *(
                [*sfumato, "history", "export", picture, "-o", str(home), "--form", form]
                for form in ("jpeg", "heic", "avif")
            ),
            [*sfumato, "history", "export", picture, "-o", str(home), "--content-credentials"],
            [*sfumato, "doctor"],
        ],
        without,
    )
    (WORK / "imported.json").write_text(json.dumps(sorted(imported)))
    absent = [
        name for name in contents.missing(app, imported) if not name.startswith(tuple(NOT_SHIPPED))
    ]
    print("Never imported:")
    for name, size in sorted(contents.unused(app, imported).items(), key=lambda item: -item[1]):
        print(f"{size / 1e6:8.1f} MB  {name}")
    return [f"{name} is imported, and not in the bundle." for name in absent]


NOT_SHIPPED = (
    "__editable__",
    "_distutils_hack",
    "_frozen_importlib",
    "gui.coreml._specification.",  # coremltools' own files, under a name of ours
    "scipy.optimize._highspy._core.",
    "torch._C.",
)
"""How a development environment finds its packages, and modules that are parts of other files."""


def wheels() -> list[str]:
    """Fetch the lock's wheels for the release's Python on a Mac, and read what they need."""
    folder = WORK / "wheels-3.12"
    app_linux.download(folder, "3.12")
    return app_linux.unmet(folder, "3.12")


def mac() -> list[str]:
    """Put the bundle of macOS' packages together."""
    script = str(Path(__file__).with_name("app_linux.py"))
    done = subprocess.run([sys.executable, script, "--work", str(WORK / "mac")])
    return ["The bundle of macOS' packages has problems."] if done.returncode else []


LINTER = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
const file = process.argv[2];
console.log(JSON.stringify(lint(readFileSync(file, "utf8"), file)));
"""


def workflow() -> list[str]:
    """Check the release workflow with actionlint, which npm has for Node."""
    folder = WORK / "actionlint"
    folder.mkdir(exist_ok=True)
    (folder / "lint.mjs").write_text(LINTER)
    subprocess.run(["npm", "install", "--silent", "--no-save", NODE], cwd=folder, check=True)
    file = ROOT / ".github/workflows/release.yml"
    command = ["node", "lint.mjs", str(file)]
    told = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return [
        f"{file.name}:{one['line']}: {one['message']}"
        for one in json.loads(told)
        if not (one["kind"] == "runner-label" and one["message"].split('"')[1] in NEWER_RUNNERS)
    ]


CHECKS: dict[str, Callable[[], list[str]]] = {
    "self-test": self_test,
    "modules": modules,
    "wheels": wheels,
    "mac": mac,
    "workflow": workflow,
}


def fingerprint(root: Path) -> str:
    """One hash of names, kinds, modes and contents below a folder."""
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        found = path.lstat()
        whole.update(f"{path.relative_to(root)}\0{found.st_mode:o}\0{found.st_size}\0".encode())
        if path.is_symlink():
            whole.update(os.fsencode(path.readlink()))
        elif path.is_file():
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _writable(root: Path, writable: bool) -> None:
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode | 0o444
            path.chmod(mode | 0o200 if writable else mode & ~0o222)


def _reachable(folder: Path) -> bool:
    """Whether other users come as far as this folder."""
    return all(place.stat().st_mode & stat.S_IXOTH for place in (folder, *folder.parents))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(CHECKS), default=list(CHECKS))
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    for name in options.only:
        print(f"=== {name}", flush=True)
        try:
            found = CHECKS[name]()
        except (OSError, subprocess.CalledProcessError) as error:
            found = [f"{name} could not be run: {error}"]
        print(*found or ["ok"], sep="\n", flush=True)
        problems += found
    print(f"check-app: {len(problems)} problems" if problems else "check-app: all is proved")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
