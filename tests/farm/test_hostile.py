"""What a farm does with those who have a good certificate and no good intentions."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gui.errors import SfumatoError
from gui.farm import wire
from gui.farm.agent import join_farm
from gui.farm.authority import Credentials
from gui.farm.comm import Channel, Hung, open_channel, security
from gui.farm.config import read_private
from gui.process import messages
from tests.support.farm import ROOT, Mac, free_port


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._marker),)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A farm, its port, and the credentials of a proper member of it."""
    home = tmp_path_factory.mktemp("farm")
    first, port = Mac(home / "First", "First"), free_port()
    try:
        code = first.start(port)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SFUMATO_HOME", str(home / "evil"))
            asyncio.run(join_farm(code.read_text(), "Evil", found=False))
            names = ("authority.pem", "member.pem", "member-key.pem")
            credentials = Credentials(*map(read_private, names))
        yield first, port, credentials
    finally:
        first.kill()


def _dask_frames(value: object) -> bytes:
    """What a worker of Dask's would send, as its own TCP transport frames it."""
    from distributed.comm.tcp import _add_frames_header
    from distributed.protocol.core import dumps
    from distributed.protocol.serialize import ToPickle

    frames = _add_frames_header(dumps({"op": "run", "function": ToPickle(value)}))[0]
    return b"".join(bytes(frame) for frame in frames)


def _forms(marker: Path) -> dict[str, bytes]:
    """The same code in every form that something might be led to run it by."""
    evil = pickle.dumps(Evil(marker))
    ours = messages.pack({"event": "Beat", "id": 0, "with": {}}, evil)
    asked = messages.pack({"event": "Run", "id": 0, "with": {"function": "os.mkdir"}})
    dask = messages.pack({"op": "run", "function": {"__Pickled__": 1}}, evil)
    enum = messages.pack({"__Enum__": True, "__module__": "os", "__name__": "mkdir", "name": "x"})
    deep = messages.pack({"event": "Jobs", "id": 0, "with": {"order": [{"__Serialized__": 1}]}})
    return {
        "the bytes behind a message": _framed(ours),
        "a message nobody knows": _framed(asked),
        "an operation of Dask's in our frames": _framed(dask),
        "the name of a module": _framed(enum),
        "a serialized object within": _framed(deep),
        "a pickle as a frame": _framed(evil),
        "Dask's own frames": _dask_frames(Evil(marker)),
    }


def _framed(frame: bytes) -> bytes:
    return struct.pack(">Q", len(frame)) + frame


def test_a_members_pickled_code_is_refused_and_nothing_runs(member: Any, tmp_path: Path) -> None:
    first, port, credentials = member
    marker = tmp_path / "it ran"
    pickle.loads(pickle.dumps(Evil(marker)))  # it would
    marker.rmdir()

    async def send(data: bytes) -> object:
        """What the farm answers."""
        channel = await _proper_member(port, credentials)
        assert channel.comm.stream is not None
        await channel.comm.stream.write(data)
        try:
            while not isinstance(
                event := await asyncio.wait_for(channel.receive(), 20), wire.Refused
            ):
                pass
            return event.error
        except Hung as end:
            return end
        finally:
            channel.abort()

    for form, data in _forms(marker).items():
        answer = asyncio.run(send(data))
        if form != "Dask's own frames":  # these cannot even be told where they end
            assert isinstance(answer, SfumatoError), form
            assert "said something that the farm does not know" in answer.message
        assert not marker.exists(), form
    assert {seat["name"] for seat in first.status()["seats"]} >= {"First"}
    assert first.process and first.process.poll() is None


async def _proper_member(port: int, credentials: Credentials) -> Channel:
    """A connection on which the first, proper word has been said."""
    keys = security(credentials.authority, credentials.certificate, credentials.key)
    channel = await open_channel("127.0.0.1", port, keys, wire.TO_MEMBER, 10)
    from gui import __version__

    channel.send(wire.Hello(wire.PROTOCOL, __version__, "Evil", "", "", False))
    assert isinstance(await channel.receive(), wire.Welcome)
    return channel


def test_a_request_cannot_name_a_file_of_the_mac_that_draws(member: Any, tmp_path: Path) -> None:
    """A member asks the others to begin with a picture of theirs, by its path."""
    first, port, credentials = member
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")

    async def ask() -> SfumatoError:
        channel = await _proper_member(port, credentials)
        models = [s for s in first.status()["seats"] if s["name"] == "First"]
        assert models
        hash_ = json.loads((ROOT / "resources/starter-model/sfumato.json").read_text()) and _hash()
        from gui.request import PictureRequest
        from gui.start_image import StartImage

        request = PictureRequest("x", "", start_image=StartImage(str(secret)))
        wanted = wire.WantedJob("j" * 32, request, hash_, "starter", 1, (0,), 1.0)
        channel.send(wire.Jobs((wanted.id,), (wanted,)))
        while not isinstance(event := await asyncio.wait_for(channel.receive(), 30), wire.Failed):
            pass
        channel.abort()
        return event.error

    assert "names a file that was not sent along" in asyncio.run(ask()).message


def _hash() -> str:
    from gui import paths
    from gui.coreml.inspect import inspect_model, model_hash

    return model_hash(inspect_model(paths.starter_model()))


def test_nobody_comes_in_without_a_certificate_of_the_farm(
    member: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, port, _ = member
    for context in (_no_certificate(), _foreign_certificate(tmp_path, monkeypatch)):
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            try:
                with context.wrap_socket(plain) as wrapped:
                    wrapped.settimeout(20)
                    # TLS 1.3: the other side's refusal arrives with the first bytes.
                    assert wrapped.recv(1) == b""
            except (ssl.SSLError, ConnectionError):
                pass


def _no_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _foreign_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Of another farm."""
    from gui.farm.authority import Authority

    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "other"))
    own = Authority().own_member("Other")
    (tmp_path / "c.pem").write_text(own.certificate)
    (tmp_path / "k.pem").write_text(own.key)
    context = _no_certificate()
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    return context


def test_a_member_cannot_pass_for_the_scheduler(member: Any) -> None:
    """Its certificate is good for asking only."""
    _, _, credentials = member
    port = free_port()
    keys = security(credentials.authority, credentials.certificate, credentials.key)

    async def try_it() -> None:
        from gui.farm.comm import start_listening

        async def never(_comm: object) -> None:
            raise AssertionError("somebody came in")

        listener = await start_listening("127.0.0.1", port, keys, never)
        try:
            with pytest.raises(OSError):
                await open_channel("127.0.0.1", port, keys, wire.TO_MEMBER, 2)
        finally:
            listener.stop()

    asyncio.run(try_it())


def test_a_member_of_another_version_is_told_so(member: Any) -> None:
    _, port, credentials = member

    async def come() -> SfumatoError:
        keys = security(credentials.authority, credentials.certificate, credentials.key)
        channel = await open_channel("127.0.0.1", port, keys, wire.TO_MEMBER, 10)
        channel.send(wire.Hello(wire.PROTOCOL, "0.0.1", "Old Mac", "", "", True))
        event = await channel.receive()
        assert isinstance(event, wire.Refused)
        channel.abort()
        return event.error

    error = asyncio.run(come())
    assert "“Old Mac” has Sfumato 0.0.1" in error.message
    assert "update the older one" in error.message


def test_keys_are_for_nobody_elses_eyes(member: Any) -> None:
    first, _, _ = member
    folder = first.home / "data/Farm"
    assert folder.stat().st_mode & 0o077 == 0
    keys = [*folder.glob("*.pem"), folder / "members.json", *first.home.glob("code-*")]
    assert len(keys) > 5
    assert [key.name for key in keys if key.stat().st_mode & 0o077] == []


def test_a_farms_process_unpickles_nothing(tmp_path: Path) -> None:
    """The second wall, behind the first one."""
    marker = tmp_path / "it ran"
    (tmp_path / "evil").write_bytes(pickle.dumps(Evil(marker)))
    code = (
        "import pickle, sys; from gui.farm.comm import refuse_pickles; refuse_pickles(); "
        f"pickle.loads(open({str(tmp_path / 'evil')!r}, 'rb').read())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SFUMATO_HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert "takes no pickles" in ran.stderr
    assert not marker.exists()
