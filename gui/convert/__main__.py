"""``python -m gui.convert``: the converter's process."""

from gui.convert.service import main

if __name__ == "__main__":
    main()
