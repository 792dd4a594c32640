"""Pictures and jobs on disk.  No Qt."""
