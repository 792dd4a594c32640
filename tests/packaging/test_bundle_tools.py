"""Finishing, examining and signing a bundle, on a small made-up one."""

from __future__ import annotations

import plistlib
import sys
import zipfile
from pathlib import Path

import pytest
from macos import app_linux, doctor, macho, postbuild, sign

sys.path.insert(0, str(Path(__file__).parent))
import macho_maker as maker


@pytest.fixture
def finished(app: Path) -> Path:
    postbuild.finish(app, report=lambda _line: None)
    return app


def lib(app: Path) -> Path:
    return app / "Contents/Resources/lib/python3.12"


def test_a_finished_bundle_is_sound(finished: Path) -> None:
    assert doctor.examine(finished) == []


def test_the_bundle_as_built_is_not(app: Path) -> None:
    problems = "\n".join(doctor.examine(app))
    for expected in ("hides the binary", "not arm64 alone", "should be a link", "interpreter"):
        assert expected in problems


def test_only_what_the_app_reaches_of_qt_stays(finished: Path) -> None:
    qt = lib(finished) / "PySide6"
    frameworks = {path.stem for path in (qt / "Qt/lib").iterdir()}
    assert frameworks == {"QtCore", "QtGui"}
    assert {path.name for path in qt.glob("*.so")} == {"QtCore.abi3.so", "QtGui.abi3.so"}
    plugins = {path.name for path in (qt / "Qt/plugins").rglob("*") if path.is_file()}
    assert plugins == {"libqcocoa.dylib"}
    for gone in ("qmllint", "QtCore.pyi", "Qt/qml", "Qt/plugins/qmltooling"):
        assert not (qt / gone).exists()


def test_frameworks_get_their_links(finished: Path) -> None:
    core = lib(finished) / "PySide6/Qt/lib/QtCore.framework"
    assert (core / "Versions/Current").readlink() == Path("A")
    assert (core / "QtCore").resolve() == core / "Versions/A/QtCore"
    assert plistlib.loads((core / "Resources/Info.plist").read_bytes())["CFBundleName"] == "QtCore"
    assert not list(core.rglob("Headers"))


def test_finishing_twice_changes_nothing_more(finished: Path) -> None:
    before = {path: path.lstat().st_size for path in finished.rglob("*")}
    postbuild.finish(finished, report=lambda _line: None)
    assert {path: path.lstat().st_size for path in finished.rglob("*")} == before


def test_tests_go_but_not_where_code_needs_them(finished: Path) -> None:
    assert not (lib(finished) / "sympy/core/tests").exists()
    assert not (lib(finished) / "torch/include").exists()
    assert not list(finished.rglob("*.dSYM")), "what debuggers read can be neither signed nor used"
    assert (lib(finished) / "torch/testing/tests/needed.py").exists()


def test_the_zip_keeps_everything_but_binaries(finished: Path) -> None:
    with zipfile.ZipFile(lib(finished).with_name("python312.zip")) as archive:
        assert archive.namelist() == ["site.pyc"]


def test_qt_finds_its_plugins(finished: Path) -> None:
    lines = (finished / "Contents/Resources/qt.conf").read_text().splitlines()
    prefix = next(line.split(" = ")[1] for line in lines if line.startswith("Prefix"))
    assert (finished / "Contents" / prefix / "plugins/platforms/libqcocoa.dylib").is_file()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dylibs": ("@rpath/libgone.dylib",)}, "needs @rpath/libgone.dylib, which is not"),
        ({"dylibs": ("/opt/homebrew/lib/libz.dylib",)}, "libz.dylib, which is not in the bundle"),
        ({"minimum": (15, 0)}, "needs macOS 15.0"),
        ({"arch": "x86_64"}, "built for x86_64"),
    ],
)
def test_the_doctor_finds_a_bad_library(
    finished: Path, options: dict[str, object], expected: str
) -> None:
    path = lib(finished) / "torch/libbad.dylib"
    path.write_bytes(maker.macho(**options))  # type: ignore[arg-type]
    (problem,) = doctor.examine(finished)
    assert problem.startswith("Contents/Resources/lib/python3.12/torch/libbad.dylib: ")
    assert expected in problem


def test_the_doctor_excuses_weak_and_system_libraries(finished: Path) -> None:
    path = lib(finished) / "torch/libgood.dylib"
    path.write_bytes(
        maker.macho(
            weak=("@rpath/libgone.dylib",),
            dylibs=("/System/Library/Frameworks/CoreML.framework/x",),
        )
    )
    assert doctor.examine(finished) == []


def test_the_doctor_finds_a_library_outside_of_the_bundle(finished: Path, tmp_path: Path) -> None:
    outside = tmp_path / "liboutside.dylib"
    outside.write_bytes(maker.macho())
    (lib(finished) / "torch/libbad.dylib").write_bytes(maker.macho(dylibs=(str(outside),)))
    (problem,) = doctor.examine(finished)
    assert "outside of the bundle" in problem


def test_originals_of_what_lies_in_frameworks_are_dropped(finished: Path) -> None:
    """And those that are loaded, also by one another, stay."""
    package = lib(finished) / "heif/.dylibs"
    package.mkdir(parents=True)
    frameworks = finished / "Contents/Frameworks"
    frameworks.mkdir(exist_ok=True)
    second = maker.macho(dylibs=("@loader_path/lib2.dylib",))
    for folder, name, data in (
        (package, "lib1.dylib", second), (package, "lib2.dylib", maker.macho()),
        (frameworks, "lib1.dylib", second), (frameworks, "lib2.dylib", maker.macho()),
    ):  # fmt: skip
        (folder / name).write_bytes(data)
    module = lib(finished) / "heif.so"
    module.write_bytes(maker.macho(dylibs=("@loader_path/heif/.dylibs/lib1.dylib",)))
    assert postbuild.drop_copies(finished) == []
    program = "@executable_path/../Frameworks/lib1.dylib"
    module.write_bytes(maker.macho(dylibs=(program,)))
    dropped = postbuild.drop_copies(finished)
    assert [path.name for path in dropped] == ["lib1.dylib", "lib2.dylib"]
    assert all(path.parent.name == ".dylibs" for path in dropped)
    assert doctor.examine(finished) == []


def test_the_doctor_misses_modules_that_everything_needs(finished: Path) -> None:
    (lib(finished) / "packaging/version.py").unlink()
    assert doctor.examine(finished) == ["The module packaging.version is missing."]


def test_the_doctor_finds_the_checkouts_own_folder(finished: Path) -> None:
    (lib(finished) / "packaging/macos").mkdir()
    (problem,) = doctor.examine(finished)
    assert "of the checkout" in problem


def change_plist(app: Path, **entries: object) -> None:
    path = app / "Contents/Info.plist"
    path.write_bytes(plistlib.dumps({**plistlib.loads(path.read_bytes()), **entries}))


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"CFBundleIconName": "AppIcon"}, "Assets.car is missing"),
        ({"CFBundleLocalizations": ["en"]}, "texts of en are missing"),
        ({"CFBundleDocumentTypes": [{"CFBundleTypeIconFile": "x.icns"}]}, "icon x.icns is missing"),
        ({"LSMinimumSystemVersion": "15.0"}, "needs macOS 15.0, and 14.0 is promised"),
    ],
)
def test_the_doctor_misses_what_the_plist_names(
    finished: Path, entries: dict[str, object], told: str
) -> None:
    change_plist(finished, **entries)
    (problem,) = doctor.examine(finished)
    assert told in problem


def test_the_oldest_macos_is_that_of_the_most_demanding_file(app: Path) -> None:
    def asks() -> str:
        postbuild.clean_plist(app)
        return plistlib.loads((app / "Contents/Info.plist").read_bytes())["LSMinimumSystemVersion"]

    assert asks() == "14.0", "what Core ML wants, where no file wants more"
    (lib(app) / "torch/libnew.dylib").write_bytes(maker.macho(minimum=(15, 2)))
    assert asks() == "15.2"


def test_budgets_are_told_when_they_are_exceeded() -> None:
    assert doctor.size_problems(699e6, 189e6) == []
    assert doctor.size_problems(701e6, 191e6) == [
        "The app takes 701 MB, and may take 700.",
        "The disk image takes 191 MB, and may take 190.",
    ]


@pytest.mark.parametrize("gone", ["MacOS/engine", "Resources/icon.icns", "Info.plist"])
def test_the_doctor_misses_what_is_gone(finished: Path, gone: str) -> None:
    (finished / "Contents" / gone).unlink()
    assert len(doctor.examine(finished)) == 1


def test_signing_goes_from_the_inside_out(finished: Path) -> None:
    targets = [step.path for step in sign.plan(finished)]
    assert targets[-1] == finished
    for index, target in enumerate(targets):
        for later in targets[index + 1 :]:
            assert target not in later.parents, f"{later} is signed after {target}, which holds it"


def test_every_binary_is_signed_once(finished: Path) -> None:
    targets = [step.path for step in sign.plan(finished)]
    assert len(targets) == len(set(targets))
    covered = set(targets)
    for path in macho.find(finished):
        framework = next((p for p in path.parents if p.suffix == ".framework"), None)
        main = path == finished / "Contents/MacOS/Sfumato"
        assert path in covered or framework in covered or main, f"{path} is not signed"


def test_entitlements_go_to_programs_only(finished: Path) -> None:
    for command in sign.commands(finished, "Developer ID Application: Someone"):
        target = Path(command[-1])
        program = target == finished or target.parent == finished / "Contents/MacOS"
        assert ("--entitlements" in command) == program
        assert "--timestamp" in command and "runtime" in command
        assert "--deep" not in command


@pytest.mark.parametrize(
    ("name", "rights"),
    [
        ("adhoc.plist", {"com.apple.security.cs.disable-library-validation": True}),
        ("developer-id.plist", {}),
    ],
)
def test_entitlements_are_the_fewest(name: str, rights: dict[str, bool]) -> None:
    assert plistlib.loads((sign.ENTITLEMENTS / name).read_bytes()) == rights


def wheel(folder: Path, name: str, *needs: str) -> None:
    text = "Metadata-Version: 2.1\nName: x\nVersion: 1\n" + "".join(
        f"Requires-Dist: {need}\n" for need in needs
    )
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}-1.dist-info/METADATA", text)


def test_what_a_wheel_needs_must_be_locked_as_a_mac_judges_it(tmp_path: Path) -> None:
    wheel(tmp_path, "good", "numpy>=2", "nonesuch; sys_platform == 'linux'", "odd; extra == 'x'")
    assert app_linux.unmet(tmp_path, "3.12") == []
    wheel(tmp_path, "bad", "nonesuch; sys_platform == 'darwin'", "numpy>=99")
    told = "\n".join(app_linux.unmet(tmp_path, "3.12"))
    assert "needs nonesuch, which is not locked" in told and "needs numpy>=99, and" in told


def test_the_lock_is_read_for_the_release_and_for_this_machine() -> None:
    """networkx has no one version for all of them."""
    release, here = (app_linux.requirements(python) for python in ("3.12", "3.11"))
    assert "networkx==3.7" in release and "networkx==3.7" not in here
    assert any(line.startswith("pyobjc-core==") for line in release)


def test_wheels_are_unpacked_without_what_builds_the_app(tmp_path: Path) -> None:
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    for name, member in (("py2app", "py2app/x.py"), ("torch", "torch-1.data/purelib/torch/y.py")):
        with zipfile.ZipFile(wheels / f"{name}-1-py3-none-any.whl", "w") as archive:
            archive.writestr(member, "x = 1")
            archive.writestr(f"{name}-1.dist-info/METADATA", "Name: x\n")
    app_linux.unpack(wheels, site)
    assert (site / "torch/y.py").is_file() and not list(site.glob("*.data"))
    assert not list(site.glob("py2app*"))
