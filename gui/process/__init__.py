"""One way to have a child process: start it, ask it typed questions, watch it, end it.

`messages` is the dialect that every child speaks, `child` the process as its parent sees it,
`supervisor` the parent's end, `serve` the child's.  What a child can be asked stands in one table
of its own, an `Interface`: `gui.engine.messages`, `gui.hub.messages`, `gui.convert.messages` and
`gui.coreml.messages`.
"""
