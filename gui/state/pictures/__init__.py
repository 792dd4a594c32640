"""Pictures as the window sees them."""
