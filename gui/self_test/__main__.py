"""`python -m gui.self_test`."""

from __future__ import annotations

import sys

from gui.self_test import main

if __name__ == "__main__":
    sys.exit(main())
