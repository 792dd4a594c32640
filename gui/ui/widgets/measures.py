"""The window's measures, in pixels.  No Qt here: the first paint reads this."""

from __future__ import annotations

import sys

MINIMUM = (1024, 640)
FIRST_SIZE = (1320, 860)
LEFT_WIDTH = 272
RIGHT_WIDTH = 324
HEAD_HEIGHT = 50 if sys.platform == "darwin" else 77
"""Tool bar with its line below; the menu bar above it where it is in the window."""
