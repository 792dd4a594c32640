"""How much one may ask of the service."""

from __future__ import annotations

MAX_BODY = 64 * 2**20
"""Bytes of one request."""
BODY_BUDGET = 128 * 2**20
"""Bytes of all requests that are read at a time; others wait unread."""
SMALL_BODY = 256 * 1024
"""Such a request is read in any case."""
BODY_SECONDS = 30.0
"""A request must be there after so long …"""
BODY_RATE = 100 * 1024
"""… and one second more for each so many bytes."""
HEADER_SECONDS = 10.0
"""For the first lines of a request."""
SEND_SECONDS = 60.0
"""For each piece of an answer, before a program that does not read it is given up."""
MAX_CONNECTIONS = 256
MAX_STREAMS = 32
"""Programs that follow events."""
MAX_WAITING = 200
"""Requests that wait for their pictures."""
MAX_PICTURES = 64
"""Of one request."""
MAX_STEPS = 150
"""As the web UI's slider."""
MAX_PROMPT = 100_000
"""Characters."""
MAX_PIXELS = 64_000_000
"""Of a picture that is sent here."""
OPEN_SECONDS = 30.0
"""For one to be decoded."""
OPEN_MEMORY = 4 * 2**30
"""Bytes of address space that decoding may take, where the system knows such a limit."""
MAX_INIT_IMAGES = 16
EXTRA_SIDE = 8192
"""Pixels of the longest side that an enlarged picture may have."""
MAX_UPLOADS_BYTES = 500_000_000
"""Of all pictures that were sent here and are kept, as requests in line may need them."""
