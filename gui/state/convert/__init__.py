"""A conversion as the window sees it."""
