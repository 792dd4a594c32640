"""Looking for a newer Sfumato: once a day where the person wants it, or when they ask.

What is fetched is one small signed list (`gui.updates`); nothing about the person or the computer
goes out with the question.  Nothing is downloaded or installed: the person is shown what is new and
where it is.
"""

from __future__ import annotations

import logging
import platform
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

import gui
from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.state.background import Background
from gui.state.settings import Settings
from gui.updates import MOST_BYTES, Feed, Release, Source, newest, read_feed, read_source

log = logging.getLogger(__name__)

DAY_SECONDS = 24 * 3600
FIRST_LOOK_MS = 20_000
"""After the start, when the window is long complete."""
LOOK_AGAIN_MS = 3600 * 1000
"""How often an app that stays open asks itself whether a day has passed."""
PATIENCE_SECONDS = 20.0
HOMEBREW = tuple(Path(root) / "Caskroom" / "sfumato" for root in ("/opt/homebrew", "/usr/local"))
UPGRADE = "brew upgrade --cask sfumato"

Fetch = Callable[[str], bytes]


def fetch(address: str) -> bytes:
    """The file at an address, if it is small.  Blocking; imports what it needs.

    Raises:
        OSError: it does not come (`urllib.error.URLError` is one).
        ValueError: it is no address.
    """
    import urllib.request

    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    question = urllib.request.Request(address, headers={"User-Agent": "Sfumato"})
    with urllib.request.urlopen(question, timeout=PATIENCE_SECONDS, context=context) as answer:
        return answer.read(MOST_BYTES + 1)


class UpdateCheck(QObject):
    """Knows whether there is a newer release.

    Args:
        settings: whether to look by itself, and what was seen.
        source: where to look and whom to believe; default: what ships with the app.
        fetch: gets the file at an address.
    """

    found = Signal(Release)
    """A `Release` that is newer than this copy; by itself only until it is skipped."""
    up_to_date = Signal()
    """The person asked, and there is nothing newer."""
    failed = Signal(SfumatoError)
    """The person asked, and it could not be found out.  By itself it fails without a word."""

    def __init__(
        self,
        settings: Settings,
        parent: QObject | None = None,
        source: Source | None = None,
        fetch: Fetch = fetch,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._source = source
        self._fetch = fetch
        self._background = Background(self)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        settings.changed.connect(self._on_setting)

    @property
    def source(self) -> Source:
        if self._source is None:
            self._source = read_source(paths.resource("updates.json"))
        return self._source

    def start(self) -> None:
        """Look by itself from now on, where the person wants it."""
        self._timer.start(LOOK_AGAIN_MS)
        QTimer.singleShot(FIRST_LOOK_MS, self, self._look)

    def check(self) -> None:
        """The person asks: one of the three signals follows."""
        if not self.source.address:
            self.failed.emit(
                SfumatoError(
                    ErrorKind.UNSUPPORTED,
                    "This copy of Sfumato was not released, so there is no list of newer ones; "
                    "look on the page where you got it.",
                )
            )
            return
        self._ask(asked=True)

    def skip(self, release: Release) -> None:
        """Say no more of this release."""
        self._settings.update_skipped = release.version

    def close(self) -> None:
        self._timer.stop()
        self._background.close(wait=False)

    def _on_setting(self, key: str) -> None:
        if key == Settings.updates.key:
            self._look()

    def _look(self) -> None:
        settings = self._settings
        since = time.time() - _number(settings.updates_looked)
        if settings.updates and self.source.address and not 0 <= since < DAY_SECONDS:
            self._ask(asked=False)

    def _ask(self, *, asked: bool) -> None:
        source, serial = self.source, int(_number(self._settings.updates_serial))
        get = self._fetch

        def work() -> Feed:
            try:
                data = get(source.address)
            except Exception as error:  # a stranger's answer: whatever it is, it is said in words
                raise _no_answer(error) from error
            return read_feed(data, source.keys, serial)

        self._background.run(
            work,
            lambda feed: self._on_feed(feed, asked),
            lambda error: self._on_failed(error, asked),
        )

    def _on_failed(self, error: SfumatoError, asked: bool) -> None:
        if asked:
            self.failed.emit(error)
        else:
            log.info("no list of releases: %s (%s)", error.message, error.detail)

    def _on_feed(self, feed: Feed, asked: bool) -> None:
        settings = self._settings
        settings.updates_looked = str(int(time.time()))
        settings.updates_serial = str(feed.serial)
        release = newest(feed, gui.__version__, platform.mac_ver()[0])
        if release is not None and (asked or release.version != settings.update_skipped):
            self.found.emit(release)
        elif asked:
            self.up_to_date.emit()


def by_homebrew(places: tuple[Path, ...] = HOMEBREW) -> bool:
    """Whether Homebrew keeps this computer's copy.  Looks at the disk, at the system's folders."""
    return any(place.is_dir() for place in places)


def _no_answer(error: Exception) -> SfumatoError:
    return SfumatoError(
        ErrorKind.NETWORK,
        "The list of releases did not come; check the connection, or try again later.",
        str(error),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
