"""Everything that decides a picture."""
