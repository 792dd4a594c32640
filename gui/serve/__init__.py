"""A local service: other programs ask for pictures over HTTP, as they would ask A1111's web UI.

In a process of its own, which makes no picture itself: it puts requests in the queue on disk, whose
owner makes them (the window, or `sfumato serve`), and waits for them there.  `sdapi` speaks the
language that programs know already, `api` what is Sfumato's own; `guard` says who may ask at all.
"""
