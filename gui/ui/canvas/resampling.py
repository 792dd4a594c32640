"""Pictures at the size they are shown."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage

MOST_KEPT = 16_000_000
"""Pixels of a scaled picture that are kept; of a larger one what is seen is scaled each time."""


def resample(image: QImage, wanted: QSize) -> QImage:
    """`image` at another size, without the diamonds that plain bilinear enlarging leaves.

    Doubling by bilinear interpolation, again and again, is Chaikin's corner cutting: it tends to a
    quadratic spline, so a preview of 16 × 16 latents looks like fog and not like tiles.
    """
    smooth = Qt.TransformationMode.SmoothTransformation
    stretch = Qt.AspectRatioMode.IgnoreAspectRatio
    while 2 * image.width() <= wanted.width() and 2 * image.height() <= wanted.height():
        image = image.scaled(image.size() * 2, stretch, smooth)
    return image if image.size() == wanted else image.scaled(wanted, stretch, smooth)
