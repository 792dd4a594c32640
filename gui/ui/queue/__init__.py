"""The queue beside the picture, and grids."""
