"""Several Macs, one queue: who asks, who draws, and who decides which picture is drawn where.

Each Mac of a farm runs one *member*: it owns the queue of its own Mac, asks for what waits there,
and offers its engine.  One of the Macs also runs the *scheduler*, which keeps nothing on its disk
but who may join: queues stay with those who asked, finished pictures with those who drew them until
they have been fetched, so that any of these processes may die at any moment.

What travels is JSON of `wire`'s records over mutual TLS, carried by the communication layer of
Dask's `distributed` (`comm`).  Its scheduler and workers are not used, nor its protocol: these take
pickled code, import what a message names, and cannot be made to refuse both.  Nothing here is
imported by who has no farm.
"""
