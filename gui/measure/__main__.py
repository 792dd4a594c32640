"""`python -m gui.measure`: the child process.  `Measurer` starts it; it is no use by hand."""

from gui.measure.service import main

if __name__ == "__main__":
    main()
