"""`python -m gui.engine`: the child process.  `EngineRunner` starts it; it is no use by hand."""

from gui.engine.server import main

if __name__ == "__main__":
    main()
