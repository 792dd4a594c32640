"""A farm on this Mac, whole: the scheduler where it is here, the member, and how one begins.

One process at a time is it (an advisory lock); a second one looks on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import IO

from gui import locks
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.farm import config as farm_config
from gui.farm import wire
from gui.farm.authority import (
    Authority,
    Credentials,
    JoinCode,
    farm_id,
    new_request,
    serial_of,
)
from gui.farm.comm import open_channel, security
from gui.farm.config import Config, folder, read_private, write_private
from gui.farm.discovery import Announcement, find_farm
from gui.farm.member import Member, unreachable
from gui.farm.scheduler import Scheduler
from gui.process.messages import Event

_JOIN_SECONDS = 8.0

log = logging.getLogger(__name__)


class AgentLock:
    """Makes this process the one that is the farm on this Mac."""

    def __init__(self) -> None:
        self._file: IO[str] | None = None

    @property
    def taken(self) -> bool:
        """Whether this process is it."""
        return self._file is not None

    def take(self) -> bool:
        """Whether it is now.

        Raises:
            SfumatoError: STORAGE.
        """
        if self._file is not None:
            return True
        try:
            folder().mkdir(parents=True, exist_ok=True, mode=0o700)
            file = (folder() / farm_config.LOCK_FILE).open("a")
            if not locks.take(file.fileno()):
                file.close()
                return False
        except OSError as error:
            raise disk_error(error, f"The farm cannot be kept in {folder()}") from error
        self._file = file
        return True

    def free(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def start_farm(
    name: str = "",
    *,
    farm_name: str = "",
    port: int = 0,
    bind: str = "",
    draws: bool = True,
    found: bool = True,
    brings: int | None = None,
) -> Config:
    """Make this Mac the one that a farm is started on; its authority is made if there is none.

    Raises:
        SfumatoError: STORAGE; BAD_REQUEST where it is in somebody else's farm.
    """
    before = farm_config.load()
    if before is not None and not before.starts:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"This Mac has joined the farm “{before.farm_name}”; leave it first, then start one.",
        )
    authority = Authority()
    name = name or (before.name if before else farm_config.mac_name())
    own = authority.own_member(name)
    config = Config(
        True,
        authority.farm,
        farm_name or (before.farm_name if before else f"{name}’s farm"),
        name,
        own_addresses(bind),
        port or (before.port if before else _free_port(bind)),
        draws,
        bind,
        found,
        serial_of(own.certificate),
        brings=(before.brings if before else 0) if brings is None else brings,
    )
    farm_config.save(config)
    return config


async def join_farm(
    text: str,
    name: str = "",
    *,
    address: str = "",
    draws: bool = True,
    found: bool = True,
    brings: int = 0,
) -> Config:
    """Join with a code, which is spent by that.

    Args:
        address: where the scheduler is, as ``host`` or ``host:port``; empty: the code knows.

    Raises:
        SfumatoError: BAD_REQUEST for what is no code; ACCESS for one that was used before; NETWORK
            where the farm cannot be reached; STORAGE.
    """
    before = farm_config.load()
    if before is not None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"This Mac is in the farm “{before.farm_name}”; leave it first, then join another.",
        )
    code = JoinCode.read(text)
    invitation = code.credentials
    host, port = parse_address(address, code.port)
    name = name or farm_config.mac_name()
    addresses = tuple(dict.fromkeys(([host] if host else []) + list(code.addresses)))
    config = Config(
        False, farm_id(invitation.authority), code.farm, name, addresses, port, draws, "", found,
        brings=brings,
    )  # fmt: skip
    request, key = new_request(name)
    certificate = await _enrol(config, invitation, request)
    write_private("member-key.pem", key)
    write_private("member.pem", certificate)
    write_private("authority.pem", invitation.authority)
    config = replace(config, member=serial_of(certificate))
    farm_config.save(config)
    return config


async def _enrol(config: Config, invitation: Credentials, request: str) -> str:
    """The certificate that the farm gives for an invitation."""
    credentials = security(invitation.authority, invitation.certificate, invitation.key)
    places = [(host, config.port) for host in config.addresses]
    last = ""
    for attempt in range(2):
        for host, port in places:
            try:
                channel = await open_channel(host, port, credentials, wire.TO_MEMBER, _JOIN_SECONDS)
            except (OSError, TimeoutError) as error:
                last = repr(error)
                continue
            try:
                channel.send(wire.Enrol(request, config.name))
                answer = await asyncio.wait_for(channel.receive(), _JOIN_SECONDS)
            except (OSError, TimeoutError) as error:
                last = repr(error)
                continue
            finally:
                await channel.close()
            if isinstance(answer, wire.Refused):
                raise answer.error
            if isinstance(answer, wire.Enrolled):
                return answer.certificate
        found = await asyncio.to_thread(find_farm, config.farm) if config.found else None
        if attempt or found is None:
            break
        places = [found]
    raise unreachable(config, last)


class Agent:
    """The farm on this Mac, while it runs.

    Args:
        config: this Mac's part.
        asks: whether it owns the queue, and draws; else it looks on only.
        on_told, on_link: as `Member`'s.
    """

    def __init__(
        self,
        config: Config,
        *,
        asks: bool = True,
        on_told: Callable[[Event], None] = lambda _event: None,
        on_link: Callable[[bool, SfumatoError | None], None] = lambda _there, _why: None,
    ) -> None:
        self.config = config
        self._asks = asks
        self.scheduler: Scheduler | None = None
        self._announcement: Announcement | None = None
        credentials = Credentials(
            read_private("authority.pem"),
            read_private("member.pem"),
            read_private("member-key.pem"),
        )
        if config.starts:
            # Its own scheduler is where it listens; others look at the addresses.
            host = config.bind if config.bind not in ("", "0.0.0.0", "::") else "127.0.0.1"
            own = replace(config, addresses=(host,))
        else:
            own = config
        self.member = Member(
            own,
            credentials,
            asks=asks,
            draws=config.draws and asks,
            on_told=on_told,
            on_link=on_link,
            find=(lambda: find_farm(config.farm)) if config.found and not config.starts else None,
        )

    async def run(self) -> None:
        """Be the farm on this Mac until cancelled.

        Raises:
            SfumatoError: NETWORK where the port is taken; and as `Member.run`.
        """
        try:
            if self._asks and self.config.starts:
                self.scheduler = Scheduler(self.config, Authority())
                await self.scheduler.start()
                if self.config.found:
                    self._announcement = await asyncio.to_thread(Announcement, self.config)
            await self.member.run()
        finally:
            await self.member.close()
            if self._announcement is not None:
                await asyncio.to_thread(self._announcement.close)
            if self.scheduler is not None:
                await self.scheduler.close()


def own_addresses(bind: str = "") -> tuple[str, ...]:
    """Where other Macs find this one: its name in the local network, then numbers."""
    if bind and bind not in ("0.0.0.0", "::"):
        return (bind,)
    found: list[str] = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # No packet is sent: the system says which address it would send from.
        probe.connect(("192.0.2.1", 9))
        found.append(probe.getsockname()[0])
    host = socket.gethostname()
    found.append(host if "." in host else f"{host}.local")
    return tuple(dict.fromkeys(found))


def _free_port(bind: str) -> int:
    """The usual port, or any other one where another program has it."""
    for port in (farm_config.PORT, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((bind or "0.0.0.0", port))
            return int(probe.getsockname()[1])
    return farm_config.PORT


def parse_address(text: str, port: int) -> tuple[str, int]:
    """Host and port of ``host``, ``host:port`` or ``[address]:port``; an empty host where there is
    no text.

    Raises:
        SfumatoError: BAD_REQUEST.
    """
    text = text.strip().removeprefix("tls://").removeprefix("sfumato://")
    if text.count(":") > 1 and not text.startswith("["):
        return text, port  # a bare IPv6 address
    host, colon, number = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, number = text, str(port)
    if not number.isdigit() or not 0 < int(number) < 65536 or (text and not host):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{text}” is no address of a Mac; give a name or number such as mac-mini.local or "
            "192.168.1.20:47866.",
        )
    return host.strip("[]"), int(number)
