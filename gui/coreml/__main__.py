"""`python -m gui.coreml`: the process that reads models.  `ModelReader` starts it; it is no use by
hand."""

from gui.coreml.service import main

if __name__ == "__main__":
    main()
