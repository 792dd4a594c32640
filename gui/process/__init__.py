"""One way to have a child process: start it, serve, ask, watch, end."""
