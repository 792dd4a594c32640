"""Signing, by rcodesign's library and an identity that is thrown away; what notices changes."""

from __future__ import annotations

import plistlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import apple_platform
import pytest
from macos import notarise, seal, sign

sys.path.insert(0, str(Path(__file__).parent))
import signable


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("identity") / "throw-away.pem"
    made = apple_platform.certificates.generate_self_signed(
        person_name="Nobody", algorithm="ecdsa", team_id="TESTTEAM01"
    )
    made.write_pem_bundle(file)
    return str(file)


@pytest.fixture(scope="module")
def signed(identity: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle signed by its plan; never changed by a test."""
    app = signable.bundle(tmp_path_factory.mktemp("signed") / "Sfumato.app")
    sign.sign_elsewhere(app, identity)
    return app


@pytest.fixture
def copy(signed: Path, tmp_path: Path) -> Path:
    """The signed bundle, moved to a folder of another kind: a seal holds wherever it lies."""
    target = tmp_path / "Ωμέγα 写真" / "Sfumato.app"
    shutil.copytree(signed, target, symlinks=True)
    return target


def test_what_was_signed_verifies(copy: Path) -> None:
    assert seal.verify(copy) == []


def test_an_ad_hoc_signature_verifies_too(tmp_path: Path) -> None:
    app = signable.bundle(tmp_path / "Sfumato.app")
    sign.sign_elsewhere(app)
    assert seal.verify(app) == []


def test_everything_runs_hardened_and_only_programs_have_entitlements(copy: Path) -> None:
    programs = {"Sfumato", "engine"}
    for path in copy.rglob("*"):
        if (
            path.is_file()
            and not path.is_symlink()
            and path.read_bytes()[:4] == b"\xcf\xfa\xed\xfe"
        ):
            found = seal.directory(path)
            assert found.flags & seal.HARDENED, path
            assert bool(found.entitlements) == (path.name in programs), path


def test_a_developers_programs_ask_for_no_right(copy: Path) -> None:
    """Apple's hardened runtime lets nothing pass that is not in here."""
    blob = seal.directory(copy / "Contents/MacOS/Sfumato").entitlements
    assert plistlib.loads(blob[8:]) == {}


def test_rcodesign_reads_the_same_names(copy: Path) -> None:
    for name in ("MacOS/Sfumato", "MacOS/engine", "Resources/lib/python3.12/numpy/core.so"):
        path = copy / "Contents" / name
        entities = apple_platform.read_signature(path)
        ours = seal.directory(path).identifier
        assert apple_platform.code_directory_identifier(entities) == ours


def test_the_certificate_is_in_the_signature(copy: Path) -> None:
    entities = apple_platform.read_signature(copy / "Contents/MacOS/engine")
    assert apple_platform.reading.has_cms_signature(entities)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(bytes(data))


def _edit_plist(path: Path) -> None:
    plist = plistlib.loads(path.read_bytes())
    path.write_bytes(plistlib.dumps({**plist, "LSEnvironment": {"PYTHONPATH": "/tmp"}}))


def _replace_by_a_signed_one(path: Path) -> None:
    path.write_bytes(signable.program(payload=b"evil code"))
    sign_one(path)


def sign_one(path: Path) -> None:
    apple_platform.sign(path, code_signature_flags=["runtime"])


RESOURCE = "Resources/resources/a.txt"
LIBRARY = "Resources/lib/python3.12/numpy/core.so"
FRAMEWORK = "Frameworks/Python.framework/Versions/3.12"


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (RESOURCE, _flip, "a.txt was changed"),
        (RESOURCE, Path.unlink, "a.txt is gone"),
        ("Resources/lib/python3.12/numpy/__init__.py", _flip, "__init__.py was changed"),
        ("Resources/more.py", lambda path: path.write_text("x"), "more.py was added"),
        (LIBRARY, _flip, "core.so: was changed"),
        (LIBRARY, _replace_by_a_signed_one, "core.so was changed"),
        ("MacOS/engine", _flip, "engine: was changed"),
        ("MacOS/engine", _replace_by_a_signed_one, "engine was replaced"),
        ("MacOS/Sfumato", _flip, "Sfumato: was changed"),
        ("MacOS/Sfumato", lambda path: path.write_bytes(signable.program()), "is not signed"),
        ("Info.plist", _edit_plist, "Info.plist was changed"),
        ("_CodeSignature/CodeResources", _edit_plist, "CodeResources was changed"),
        ("_CodeSignature/CodeResources", Path.unlink, "has no seal"),
        (f"{FRAMEWORK}/Python", _flip, "Python: was changed"),
        (f"{FRAMEWORK}/Resources/Info.plist", _edit_plist, "Info.plist was changed"),
    ],
)
def test_a_change_to_the_sealed_bundle_is_noticed(
    copy: Path, name: str, change: Callable[[Path], object], told: str
) -> None:
    change(copy / "Contents" / name)
    assert any(told in problem for problem in seal.verify(copy)), seal.verify(copy)


def test_a_link_that_leads_elsewhere_is_noticed(copy: Path) -> None:
    link = copy / "Contents/Resources/link"
    link.symlink_to("/tmp")
    assert any("link was added" in problem for problem in seal.verify(copy))


def test_an_unsigned_bundle_does_not_verify(tmp_path: Path) -> None:
    app = signable.bundle(tmp_path / "Sfumato.app")
    assert any("is not signed" in problem for problem in seal.verify(app))


def test_a_damaged_signature_is_a_sentence(copy: Path) -> None:
    path = copy / "Contents" / LIBRARY
    path.write_bytes(path.read_bytes()[: signable.PAGE + 40])
    assert any("core.so" in problem for problem in seal.verify(copy))


# Notarising: what Apple's service is asked and how its answers are taken.


def test_without_a_key_nothing_can_be_notarised() -> None:
    assert not notarise.possible({})
    known = {"NOTARY_KEY": "k", "NOTARY_KEY_ID": "i"}
    missing = pytest.raises(notarise.NotarisationError, match="NOTARY_ISSUER")
    with missing, notarise.credentials(known):
        pass


def test_a_key_that_is_given_as_text_is_a_private_file_for_a_moment() -> None:
    text = "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"
    environment = {"NOTARY_KEY": text, "NOTARY_KEY_ID": "ID", "NOTARY_ISSUER": "I"}
    with notarise.credentials(environment) as options:
        assert options[::2] == ["--key", "--key-id", "--issuer"]
        file = Path(options[1])
        assert file.read_text() == text and file.stat().st_mode & 0o077 == 0
    assert not file.exists()
    with notarise.credentials({**environment, "NOTARY_KEY": "/a/key.p8"}) as options:
        assert options[1] == "/a/key.p8"


def test_apples_answer_decides_and_its_remarks_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    issue = {"severity": "error", "path": "a.so", "message": "not signed"}
    assert not notarise.accepted({"status": "Invalid"}, {"issues": [issue]})
    assert "error: a.so: not signed" in capsys.readouterr().out
    assert notarise.accepted({"status": "Accepted"}, {"issues": None})


def test_gates_ask_gatekeeper_as_it_will_ask_itself() -> None:
    app, image = notarise.gates(Path("Sfumato.app")), notarise.gates(Path("Sfumato.dmg"))
    assert ["spctl", "-a", "-vv", "-t", "exec", "Sfumato.app"] in app
    assert "context:primary-signature" in image[1]
    assert all("--deep" not in command for command in image)
