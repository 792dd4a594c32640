"""macOS itself: the Dock, Finder, sleep and notifications, behind one protocol."""
