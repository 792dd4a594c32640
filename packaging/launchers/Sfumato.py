"""Main executable of Sfumato.app."""

from gui.bundle_main import main

main()
