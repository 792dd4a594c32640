"""Laws of the repository that no linter knows."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import gui

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks and that are still there; the rest of the tree is nobody's business."""
    command = ["git", "ls-files", "-z", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str | None:
    """A text file's content; None for binary files."""
    data = path.read_bytes()
    return None if b"\0" in data[:8192] else data.decode("utf-8", "replace")


@pytest.mark.parametrize("folder", ["gui", "packaging", "tests"])
def test_no_file_grows_out_of_all_proportion(folder: str) -> None:
    """A file is as long as its subject; around 500 lines is a sign to look, this is a limit."""
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in tracked(f"{folder}/**.py", f"{folder}/*.py")
    }
    assert lengths
    assert {name: lines for name, lines in lengths.items() if lines > 800} == {}


def test_every_resource_has_its_licence() -> None:
    """LICENSES.md names each file of resources/, or the folder it lies in."""
    named = set(re.findall(r"`([^`]+)`", (ROOT / "resources/LICENSES.md").read_text()))
    unnamed = []
    for path in tracked("resources"):
        name = path.relative_to(ROOT / "resources").as_posix()
        folders = {f"{parent.as_posix()}/" for parent in Path(name).parents if parent != Path()}
        if name != "LICENSES.md" and name not in named and not folders & named:
            unnamed.append(name)
    assert unnamed == []


def test_every_licensed_resource_exists() -> None:
    """A name in the table's first column that is a file or folder of resources/ is there."""
    table = (ROOT / "resources/LICENSES.md").read_text().splitlines()
    first_cells = [line.split("|")[1] for line in table if line.startswith("| `")]
    names = [name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)]
    assert names
    assert [name for name in names if not (ROOT / "resources" / name).exists()] == []


def test_the_version_has_one_source() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "gui.__version__"}
    assert "version" not in project["project"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", gui.__version__)


def test_makefile_has_every_command_the_readme_gives() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    assert {"run", "test", "bench", "lint"} <= asked
    assert asked <= targets


def test_readme_shows_commands_that_exist() -> None:
    """Every `sfumato …` line of the README is accepted by the command line's own parser."""
    from gui.cli.main import _parser

    shown = re.findall(r"^sfumato (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert shown
    parser = _parser()
    for line in shown:
        arguments = re.findall(r'"([^"]*)"|(\S+)', line.split("#")[0])
        parser.parse_args([quoted or plain for quoted, plain in arguments])


def test_readme_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []


# Written in pieces, so that this file does not break the law it holds.
FOREIGN = re.compile(
    "|".join(["/" + "work/(?:main|shared)", "/" + "root/", "/" + "home/[a-z]", "/" + "Users/[a-z]"])
)


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """No absolute path of a developer's machine; `/Users/me/…` is the one allowed example."""
    found = []
    for path in tracked():
        text = text_of(path)
        if text is None:
            continue
        for match in FOREIGN.finditer(text):
            if not text[match.start() :].startswith("/" + "Users/me/"):
                found.append(f"{path.relative_to(ROOT)}: {match[0]}")
    assert found == []


def test_the_packaging_folder_does_not_hide_the_packaging_library() -> None:
    """An ``__init__.py`` there would shadow the library of that name, which others import."""
    assert not (ROOT / "packaging/__init__.py").exists()


def test_top_level_is_the_agreed_one() -> None:
    allowed = {
        "gui", "packaging", "resources", "tests",
        "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md",
        "pyproject.toml", "setup_app.py",
    }  # fmt: skip
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} <= allowed
