"""`MacServices` by Cocoa through pyobjc.  macOS only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import AppKit  # type: ignore[import-not-found]
import Foundation  # type: ignore[import-not-found]
import objc  # type: ignore[import-not-found]

from gui.errors import ErrorKind, SfumatoError
from gui.mac.services import FallbackServices, Program


class CocoaServices:
    """Dock tile and activity by AppKit and Foundation; the rest by the system's commands."""

    def __init__(self) -> None:
        self._fallback = FallbackServices("darwin")
        self._activity: Any = None
        self._bar: Any = None
        self._picker: Any = None
        self._provider: Any = None

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

    def saves_energy(self) -> bool:
        return bool(Foundation.NSProcessInfo.processInfo().isLowPowerModeEnabled())

    def reveal(self, path: Path, *more: Path) -> None:
        self._fallback.reveal(path, *more)

    def notify(self, title: str, body: str) -> None:
        self._fallback.notify(title, body)

    def applications(self, path: Path) -> list[Program]:
        workspace, url = AppKit.NSWorkspace.sharedWorkspace(), _url(path)
        usual = workspace.URLForApplicationToOpenURL_(url)
        found = [usual, *(workspace.URLsForApplicationsToOpenURL_(url) or ())]
        ours = str(Foundation.NSBundle.mainBundle().bundlePath())
        places = dict.fromkeys(str(one.path()) for one in found if one is not None)
        return [Program(Path(place).stem, Path(place)) for place in places if place != ours]

    def open_with(self, paths: Sequence[Path], application: Program | None = None) -> None:
        self._fallback.open_with(paths, application)

    def offer_service(self, make: Callable[[str], None]) -> None:
        # Kept: the application does not hold it.
        self._provider = ServiceProvider.alloc().initWithDeed_(make)
        AppKit.NSApplication.sharedApplication().setServicesProvider_(self._provider)

    can_share = True
    can_set_wallpaper = True

    def share(self, paths: Sequence[Path], view: int, at: tuple[int, int]) -> None:
        urls = [_url(path) for path in paths]
        # Kept, for it is shown after this call.
        self._picker = AppKit.NSSharingServicePicker.alloc().initWithItems_(urls)
        self._picker.showRelativeToRect_ofView_preferredEdge_(
            ((at[0], at[1]), (1, 1)), objc.objc_object(c_void_p=view), Foundation.NSMaxYEdge
        )

    def set_wallpaper(self, path: Path) -> None:
        workspace = AppKit.NSWorkspace.sharedWorkspace()
        for screen in AppKit.NSScreen.screens():
            done, error = workspace.setDesktopImageURL_forScreen_options_error_(
                _url(path), screen, {}, None
            )
            if not done:
                raise SfumatoError(
                    ErrorKind.STORAGE,
                    f"“{path.name}” could not be put on the desktop; choose it in System Settings "
                    "under Wallpaper.",
                    str(error),
                )


class ServiceProvider(Foundation.NSObject):
    """Answers to the service that Info.plist names (`packaging.macos.info_plist.SERVICE`)."""

    def initWithDeed_(self, make: Callable[[str], None]) -> Any:  # noqa: N802
        self = objc.super(ServiceProvider, self).init()  # as Objective-C does
        if self is not None:
            self._make = make
        return self

    @objc.typedSelector(b"v@:@@o^@")
    def makePicture_userData_error_(self, board: Any, data: Any, error: Any) -> Any:  # noqa: N802
        """“System Services”: the pasteboard holds what is chosen; an answer takes error's place."""
        del data, error
        text = board.stringForType_(AppKit.NSPasteboardTypeString)
        if not text:
            return "No text is chosen; choose some, and try again."
        self._make(str(text))
        return None


def _url(path: Path) -> Any:
    # Told that it is no folder, it does not look at the disk.
    return Foundation.NSURL.fileURLWithPath_isDirectory_(str(path), False)


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
