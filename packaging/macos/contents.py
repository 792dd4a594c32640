"""Say what a bundle consists of, and whether everything that is imported is in it.

```sh
python packaging/macos/contents.py dist/Sfumato.app                   # a table of sizes
python packaging/macos/contents.py dist/Sfumato.app --imported MODULES.json
```

MODULES.json holds names of modules that a run imported, as `trace.py` writes them: each must be in
the bundle, and packages of it that no run imports are listed with their sizes.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import postbuild

SMALL = 1_000_000
"""Bytes; smaller parts of the table are summed up."""


def parts(app: Path) -> Counter[str]:
    """Bytes by part: packages, the standard library, resources, frameworks, programs."""
    found: Counter[str] = Counter()
    library = postbuild.library(app)
    for path in app.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            continue
        found[_part(path.relative_to(app), library.relative_to(app))] += path.lstat().st_size
    return found


def _part(path: Path, library: Path) -> str:
    inside: list[str] = [*path.parts]
    if library in path.parents:
        below = path.relative_to(library).parts
        name = below[0].removesuffix(".libs")
        return name.split(".")[0] if len(below) == 1 else name
    if inside[1] == "Resources" and len(inside) > 3 and inside[2] == "resources":
        return f"resources/{inside[3]}"
    if inside[1] == "Resources" and path.suffix == ".zip":
        return path.name
    return "/".join(inside[1:2] if inside[1] != "Frameworks" else inside[1:3])


def table(app: Path) -> str:
    """What takes the room, in MB, largest first."""
    found = parts(app)
    small = {name for name, size in found.items() if size < SMALL}
    rows = [(size, name) for name, size in found.items() if name not in small]
    rows.append((sum(found[name] for name in small), f"{len(small)} smaller parts"))
    lines = [f"{size / 1e6:8.1f} MB  {name}" for size, name in sorted(rows, reverse=True)]
    return "\n".join([*lines, f"{sum(found.values()) / 1e6:8.1f} MB  in all"])


class Modules:
    """The modules that a bundle holds."""

    def __init__(self, app: Path) -> None:
        self._library = postbuild.library(app)
        self._zipped: set[str] = set()
        for path in self._library.parent.glob("python3*.zip"):
            with zipfile.ZipFile(path) as archive:
                self._zipped.update(archive.namelist())

    def has(self, name: str) -> bool:
        """Whether a module (or namespace) can be imported from the bundle."""
        place = name.replace(".", "/")
        if {f"{place}.pyc", f"{place}/__init__.pyc", f"{place}.py"} & self._zipped:
            return True
        if any(entry.startswith(f"{place}/") for entry in self._zipped):
            return True
        file = self._library / place
        if file.is_dir() or any(
            file.with_name(file.name + end).is_file() for end in (".py", ".pyc")
        ):
            return True
        folders = (file.parent, self._library / "lib-dynload" / Path(place).parent)
        return any(list(folder.glob(f"{file.name}.*so")) for folder in folders)

    def packages(self) -> set[str]:
        """Names of the packages that lie there as files."""
        return {
            path.name
            for path in self._library.iterdir()
            if path.is_dir() and path.name.isidentifier() and not path.name.startswith("__")
        }


def missing(app: Path, imported: Iterable[str]) -> list[str]:
    """Modules that a run imported and the bundle lacks."""
    modules = Modules(app)
    builtin = set(sys.builtin_module_names)
    return sorted(
        name for name in imported if name.partition(".")[0] not in builtin and not modules.has(name)
    )


def unused(app: Path, imported: Iterable[str]) -> dict[str, int]:
    """Packages of the bundle of which no run imported anything, with their bytes."""
    used = {name.partition(".")[0] for name in imported}
    sizes = parts(app)
    return {name: sizes[name] for name in sorted(Modules(app).packages() - used)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("app", type=Path)
    parser.add_argument("--imported", type=Path, help="names of modules, JSON")
    options = parser.parse_args()
    if options.imported is None:
        print(table(options.app))
        return 0
    imported: list[str] = json.loads(options.imported.read_text())
    absent = missing(options.app, imported)
    print(f"{len(imported)} modules were imported; {len(absent)} of them are not in the bundle.")
    print(*(f"  {name}" for name in absent), sep="\n")
    never = unused(options.app, imported)
    print(f"{len(never)} packages were never imported:")
    for name, size in sorted(never.items(), key=lambda item: -item[1]):
        print(f"{size / 1e6:8.1f} MB  {name}")
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())
