"""Downloads from the Hub that never lose a byte: resumable, verified, parallel, atomic.

`Downloads` (manager) keeps `DownloadJob`s; each has a `Plan` on disk and, while it runs, a `Fetch`
whose pieces the `Workers`' threads carry out through a `Transport`, noting in a `DownloadJournal`
what is on disk.  `install` makes a model of the files.
"""

from gui.hub.downloads.fetch import Backoff
from gui.hub.downloads.manager import Downloads

__all__ = ["Backoff", "Downloads"]
