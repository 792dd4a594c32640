"""`python -m gui`: the window, or a command of `sfumato`."""

from __future__ import annotations

import sys


def main() -> int:
    """Window without arguments; ``--offscreen-run`` and ``--self-test``; else the command line."""
    arguments = sys.argv[1:]
    if not arguments:
        # Nothing of the command line is loaded on the way to the first paint.
        from gui.app import main as window

        return window()
    if arguments[0] == "--offscreen-run":
        from gui.offscreen import main as offscreen

        return offscreen(arguments[1:])
    if arguments[0] == "--self-test":
        from gui.self_test import main as self_test

        return self_test(arguments[1:])
    from gui.cli.main import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
