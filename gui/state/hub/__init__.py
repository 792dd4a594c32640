"""The Hub as the window sees it: catalogue, downloads, account."""
