"""`MacServices` by Cocoa through pyobjc.  macOS only; the one module that imports pyobjc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import AppKit  # type: ignore[import-not-found]
import Foundation  # type: ignore[import-not-found]

from gui.mac.services import FallbackServices


class CocoaServices:
    """Dock tile and activity by AppKit and Foundation; the rest by the system's commands."""

    def __init__(self) -> None:
        self._fallback = FallbackServices("darwin")
        self._activity: Any = None
        self._bar: Any = None

    def set_progress(self, fraction: float | None) -> None:
        tile = AppKit.NSApplication.sharedApplication().dockTile()
        if fraction is None:
            tile.setContentView_(None)
            self._bar = None
        else:
            if self._bar is None:
                view, self._bar = _progress_view(tile.size())
                tile.setContentView_(view)
            self._bar.setDoubleValue_(min(max(fraction, 0.0), 1.0))
        tile.display()

    def set_badge(self, text: str) -> None:
        tile = AppKit.NSApplication.sharedApplication().dockTile()
        tile.setBadgeLabel_(text or None)

    def begin_activity(self, reason: str) -> None:
        if self._activity is None:
            # "User initiated" holds off App Nap and idle sleep, and lets the display sleep.
            info = Foundation.NSProcessInfo.processInfo()
            self._activity = info.beginActivityWithOptions_reason_(
                Foundation.NSActivityUserInitiated, reason
            )

    def end_activity(self) -> None:
        if self._activity is not None:
            Foundation.NSProcessInfo.processInfo().endActivity_(self._activity)
            self._activity = None

    def on_battery(self) -> bool:
        return self._fallback.on_battery()

    def reveal(self, path: Path, *more: Path) -> None:
        self._fallback.reveal(path, *more)

    def notify(self, title: str, body: str) -> None:
        self._fallback.notify(title, body)


def _progress_view(size: Any) -> tuple[Any, Any]:
    """A view of the app's icon with a progress bar across its foot, and the bar itself."""
    width, height = size.width, size.height
    view = AppKit.NSImageView.alloc().initWithFrame_(((0, 0), (width, height)))
    view.setImage_(AppKit.NSApplication.sharedApplication().applicationIconImage())
    frame = ((0.08 * width, 0.08 * height), (0.84 * width, 0.14 * height))
    bar = AppKit.NSProgressIndicator.alloc().initWithFrame_(frame)
    bar.setIndeterminate_(False)
    bar.setMinValue_(0.0)
    bar.setMaxValue_(1.0)
    view.addSubview_(bar)
    return view, bar
