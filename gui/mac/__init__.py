"""macOS itself: the Dock, Finder, sleep and notifications, behind one protocol."""

from __future__ import annotations

import sys

from gui.mac.services import FallbackServices, MacServices, Program

__all__ = ["FallbackServices", "MacServices", "Program", "mac_services"]


def mac_services() -> MacServices:
    """The services of this machine: Cocoa's on a Mac with pyobjc, the fallback elsewhere."""
    if sys.platform == "darwin":
        try:
            from gui.mac.cocoa import CocoaServices
        except ImportError:  # pyobjc is optional
            return FallbackServices()
        return CocoaServices()
    return FallbackServices()
