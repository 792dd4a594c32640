"""The process boundary: pictures are computed in a child process that the window can lose.

`messages` is the language, `runner` the window's and command line's side, `server` the child.
Core ML's Python calls hold the interpreter lock for as long as they run, and a failed one can end
the process; neither may reach the window.
"""
