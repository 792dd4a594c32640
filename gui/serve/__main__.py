"""`python -m gui.serve`: the child process.  `ServeClient` starts it; it is no use by hand."""

from gui.serve.service import main

if __name__ == "__main__":
    main()
