"""The token in the keychain: an in-memory one here, and ones that fail as real ones do."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest
from keyring.backends import fail

from gui.errors import ErrorKind, SfumatoError
from gui.hub import account


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keychain that lasts as long as the test."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.entries:
            raise keyring.errors.PasswordDeleteError("not there")
        del self.entries[service, username]


class BrokenKeyring(keyring.backend.KeyringBackend):
    """One that fails whatever it is asked, and tells everyone what it was given."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, error: type[Exception]) -> None:
        super().__init__()
        self.error = error

    def get_password(self, service: str, username: str) -> str | None:
        raise self.error(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise self.error(f"{service} {username} {password}")

    def delete_password(self, service: str, username: str) -> None:
        raise self.error(f"{service} {username}")


@pytest.fixture(autouse=True)
def keychain() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def write_token_file(home: Path, text: str) -> None:
    file = home / "huggingface" / "token"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_nothing_anywhere() -> None:
    assert account.load_token() == (None, "")
    account.forget_token()


def test_save_load_forget(keychain: MemoryKeyring) -> None:
    account.save_token("  hf_mine\n")
    assert account.load_token() == ("hf_mine", "keychain")
    assert list(keychain.entries) == [("Sfumato", "huggingface.co")]
    account.save_token("hf_newer")
    assert account.load_token() == ("hf_newer", "keychain")
    account.forget_token()
    assert account.load_token() == (None, "")
    assert not keychain.entries


def test_the_keychain_before_the_environment_before_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HF_TOKEN and the file of `hf auth login` as Hugging Face's own tools read them."""
    from huggingface_hub import get_token

    write_token_file(home, "hf_fromfile\n")
    assert account.load_token() == ("hf_fromfile", "file") == (get_token(), "file")
    monkeypatch.setenv("HF_TOKEN", "hf_fromenv")
    assert account.load_token() == ("hf_fromenv", "environment") == (get_token(), "environment")
    account.save_token("hf_mine")
    assert account.load_token() == ("hf_mine", "keychain")
    account.forget_token()
    assert account.load_token() == ("hf_fromenv", "environment")


@pytest.mark.parametrize(
    "text", ["", "   ", "two words", "x", "hf_ü", "hf_" + "x" * 600, "a\nb\nc"]
)
def test_what_cannot_be_a_token(text: str, keychain: MemoryKeyring) -> None:
    with pytest.raises(SfumatoError) as caught:
        account.save_token(text)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert not keychain.entries
    assert not text.strip() or text not in caught.value.message + caught.value.detail


@pytest.mark.parametrize(
    "error",
    [keyring.errors.KeyringLocked, keyring.errors.InitError, keyring.errors.PasswordSetError,
     RuntimeError, OSError],
)  # fmt: skip
def test_a_keychain_that_will_not(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    keyring.set_keyring(BrokenKeyring(error))
    for act in (lambda: account.save_token("hf_secret"), account.load_token, account.forget_token):
        with pytest.raises(SfumatoError) as caught:
            act()
        assert caught.value.kind is ErrorKind.ACCESS
        assert "unlock" in caught.value.message
        assert "hf_secret" not in caught.value.message + caught.value.detail
        assert caught.value.__cause__ is None
    # Where there is another token, that one will do.
    monkeypatch.setenv("HF_TOKEN", "hf_fromenv")
    assert account.load_token() == ("hf_fromenv", "environment")


def test_no_keychain_on_this_system(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring.set_keyring(fail.Keyring())
    assert account.load_token() == (None, "")
    account.forget_token()
    with pytest.raises(SfumatoError) as caught:
        account.save_token("hf_secret")
    assert caught.value.kind is ErrorKind.UNSUPPORTED and "HF_TOKEN" in caught.value.message


def test_inside_a_bundle_the_mac_keychain_is_found_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """keyring looks for its backends in package metadata, which a bundle does not carry."""
    module = types.ModuleType("keyring.backends.macOS")
    module.Keyring = MemoryKeyring  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring.backends.macOS", module)
    monkeypatch.setattr("keyring.backends.macOS", module, raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    keyring.set_keyring(fail.Keyring())
    account.save_token("hf_mine")
    assert account.load_token() == ("hf_mine", "keychain")


def test_no_keyring_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert account.load_token() == (None, "")
    with pytest.raises(SfumatoError) as caught:
        account.save_token("hf_secret")
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_an_unreadable_token_file(home: Path) -> None:
    file = home / "huggingface" / "token"
    file.mkdir(parents=True)
    assert account.load_token() == (None, "")
    file.rmdir()
    file.write_bytes(b"\xff\xfe\x00")
    assert account.load_token() == (None, "")
