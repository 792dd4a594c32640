"""`python -m gui.farm`: the child process.  The window starts it; it is no use by hand."""

from gui.farm.service import main

if __name__ == "__main__":
    main()
