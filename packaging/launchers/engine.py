"""Engine executable of Sfumato.app: the process that makes the pictures."""

from gui.bundle_main import engine_main

engine_main()
