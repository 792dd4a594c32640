"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class CheckError(Exception):
    """A check did not hold; the text says how."""


@dataclass(frozen=True)
class Found:
    """A check held."""

    text: str
    measured: dict[str, Any] = field(default_factory=dict[str, Any])
    """Numbers for the report."""
