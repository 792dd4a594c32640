"""The picture, and what shows while it is made."""
