"""`python -m gui.control`: the child process.  `ControlClient` starts it; it is no use by hand."""

from gui.control.service import main

if __name__ == "__main__":
    main()
