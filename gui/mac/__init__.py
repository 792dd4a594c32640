"""macOS itself: the Dock, Finder, sleep and notifications behind one protocol, what it sees in
pictures behind another."""

from __future__ import annotations

import sys

from gui.mac.services import FallbackServices, MacServices, Program
from gui.mac.vision import NoVision, Vision

__all__ = [
    "FallbackServices",
    "MacServices",
    "Program",
    "Vision",
    "mac_services",
    "mac_vision",
]


def mac_services() -> MacServices:
    """The services of this machine: Cocoa's on a Mac with pyobjc, the fallback elsewhere."""
    if sys.platform == "darwin":
        try:
            from gui.mac.cocoa import CocoaServices
        except ImportError:  # pyobjc is optional
            return FallbackServices()
        return CocoaServices()
    return FallbackServices()


def mac_vision() -> Vision:
    """What finds people and subjects in pictures on this machine."""
    if sys.platform == "darwin":
        try:
            from gui.mac.cocoa_vision import CocoaVision
        except ImportError:
            return NoVision()
        return CocoaVision()
    return NoVision()
