"""`python -m gui.enlarge`: the child process.  `EnlargeClient` starts it; it is no use by hand."""

from gui.enlarge.service import main

if __name__ == "__main__":
    main()
