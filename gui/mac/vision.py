"""What macOS finds in pictures by its Vision framework, and its absence elsewhere.

Only `gui.mac.cocoa_vision` imports pyobjc, on a Mac alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gui.errors import ErrorKind, SfumatoError

JOINTS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""Of a body, in the order of OpenPose's 18."""

Person = Mapping[str, tuple[float, float]]
"""Joints that were found, by name: x and y in 0…1 from the upper left corner."""


class Vision(Protocol):
    """Finds people and subjects.  May take seconds."""

    @property
    def available(self) -> bool:
        """Whether anything can be found on this computer."""
        ...

    def people(self, rgb: bytes, width: int, height: int) -> Sequence[Person]:
        """The people in a picture of 3 bytes per pixel; none: empty.

        Raises:
            SfumatoError: UNSUPPORTED where this computer cannot look for them.
        """
        ...

    def subject(self, rgb: bytes, width: int, height: int) -> bytes:
        """A byte per pixel: 255 where the picture's subject is.

        Raises:
            SfumatoError: UNSUPPORTED where this computer cannot look for it.
        """
        ...


class NoVision:
    """Says that it cannot."""

    available = False

    def people(self, rgb: bytes, width: int, height: int) -> Sequence[Person]:
        raise _needs_a_mac("poses")

    def subject(self, rgb: bytes, width: int, height: int) -> bytes:
        raise _needs_a_mac("subjects")


def _needs_a_mac(what: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"Finding {what} needs macOS 14 or later with pyobjc's Vision; choose another preparation, "
        "or a picture that is prepared already.",
    )
