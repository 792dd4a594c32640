"""The farm in the local network: told and found by Bonjour (multicast DNS), where that is allowed.

Nothing secret is told: the farm's number, which is its certificate's fingerprint, and where it
listens.  Who answers there still has to have the certificate.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING

from gui.farm.config import Config

if TYPE_CHECKING:
    from zeroconf import Zeroconf

SERVICE = "_sfumato-farm._tcp.local."
SECONDS = 3.0
"""For a farm to be found."""

log = logging.getLogger(__name__)


class Announcement:
    """Tells the network of a farm until `close`.  Never raises: without it, addresses are given."""

    def __init__(self, config: Config) -> None:
        self._zeroconf: Zeroconf | None = None
        try:
            from zeroconf import ServiceInfo, Zeroconf

            addresses = [a for host in config.addresses if (a := _packed(host))]
            info = ServiceInfo(
                SERVICE,
                f"{config.farm}.{SERVICE}",
                port=config.port,
                addresses=addresses,
                properties={"farm": config.farm},
                server=f"sfumato-{config.farm}.local.",
            )
            self._zeroconf = Zeroconf()
            self._zeroconf.register_service(info, allow_name_change=True)
        except Exception as error:  # no network, or none that carries multicasts
            log.info("the farm cannot be announced: %r", error)

    def close(self) -> None:
        if self._zeroconf is not None:
            with contextlib.suppress(Exception):
                self._zeroconf.close()


def find_farm(farm: str, seconds: float = SECONDS) -> tuple[str, int] | None:
    """Host and port of a farm; None where it is not found.  Never raises.  Blocking.

    Args:
        farm: `Config.farm`.
    """
    found: list[tuple[str, int]] = []
    there = threading.Event()
    try:
        from zeroconf import ServiceBrowser, ServiceStateChange, Zeroconf

        def changed(
            zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
        ) -> None:
            if state_change is ServiceStateChange.Removed or not name.startswith(farm):
                return
            info = zeroconf.get_service_info(service_type, name)
            if info is not None and info.port and info.parsed_addresses():
                found.append((info.parsed_addresses()[0], info.port))
                there.set()

        with Zeroconf() as zeroconf:
            browser = ServiceBrowser(zeroconf, SERVICE, handlers=[changed])
            there.wait(seconds)
            browser.cancel()
    except Exception as error:
        log.info("the network cannot be searched: %r", error)
    return found[0] if found else None


def _packed(host: str) -> bytes | None:
    with contextlib.suppress(OSError):
        return socket.inet_aton(host)
    return None
