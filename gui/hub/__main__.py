"""`python -m gui.hub`: the Hub process.  `Supervisor` starts it; it is no use by hand."""

from gui.hub.service import main

if __name__ == "__main__":
    main()
