"""Sfumato's own API, under `/api/v1`: the queue, events with previews, pictures, models.

Requests are those of `gui.request`, but that nothing in them is a path: models, LoRAs and networks
have names, and pictures are those that were sent (``upload:<id>``) or are in the gallery
(``picture:<number>``).
"""
