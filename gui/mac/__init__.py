"""macOS itself: the Dock, Finder, sleep and notifications, behind one protocol."""

from gui.mac.services import FallbackServices, MacServices, mac_services

__all__ = ["FallbackServices", "MacServices", "mac_services"]
