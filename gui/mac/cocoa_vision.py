"""`gui.mac.vision.Vision` by Apple's Vision framework through pyobjc.  macOS 14 or later only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import Quartz  # type: ignore[import-not-found]
import Vision  # type: ignore[import-not-found]

from gui.errors import ErrorKind, SfumatoError
from gui.mac.vision import JOINTS, Person

_SURE = 0.3
"""Confidence from which a joint counts; Apple's examples take it."""


class CocoaVision:
    """Apple's Vision framework (macOS 14)."""

    available = True

    def people(self, rgb: bytes, width: int, height: int) -> Sequence[Person]:
        request = Vision.VNDetectHumanBodyPoseRequest.alloc().init()
        found: list[Person] = []
        for seen in self._perform(request, rgb, width, height):
            points, _ = seen.recognizedPointsForJointsGroupName_error_(
                Vision.VNHumanBodyPoseObservationJointsGroupNameAll, None
            )
            named = {name: points.get(getattr(Vision, _key(name))) for name in JOINTS}
            found.append(
                {n: (p.x(), 1.0 - p.y()) for n, p in named.items() if p and p.confidence() > _SURE}
            )
        return found

    def subject(self, rgb: bytes, width: int, height: int) -> bytes:
        request = Vision.VNGenerateForegroundInstanceMaskRequest.alloc().init()
        handler = self._handler(rgb, width, height)
        self._run(handler, request)
        for seen in request.results() or ():
            mask, error = seen.generateScaledMaskForImageForInstances_fromRequestHandler_error_(
                seen.allInstances(), handler, None
            )
            if mask is None:
                raise _failed(error)
            # the mask's pixels are floats; drawn as grey they become bytes
            image = Quartz.CIImage.imageWithCVPixelBuffer_(mask)
            grey = bytearray(width * height)
            Quartz.CIContext.context().render_toBitmap_rowBytes_bounds_format_colorSpace_(
                image, grey, width, ((0, 0), (width, height)), Quartz.kCIFormatL8, None
            )
            return bytes(grey)
        return bytes(width * height)

    def _perform(self, request: Any, rgb: bytes, width: int, height: int) -> Sequence[Any]:
        self._run(self._handler(rgb, width, height), request)
        return request.results() or ()

    def _run(self, handler: Any, request: Any) -> None:
        done, error = handler.performRequests_error_([request], None)
        if not done:
            raise _failed(error)

    def _handler(self, rgb: bytes, width: int, height: int) -> Any:
        image = Quartz.CGImageCreate(
            width, height, 8, 24, 3 * width, Quartz.CGColorSpaceCreateDeviceRGB(),
            Quartz.kCGImageAlphaNone, Quartz.CGDataProviderCreateWithCFData(rgb), None, False,
            Quartz.kCGRenderingIntentDefault,
        )  # fmt: skip
        handlers = Vision.VNImageRequestHandler
        return handlers.alloc().initWithCGImage_options_(image, {})


def _key(joint: str) -> str:
    """The framework's constant: ``VNHumanBodyPoseObservationJointNameRightShoulder``."""
    words = "".join(word.capitalize() for word in joint.split("_"))
    return f"VNHumanBodyPoseObservationJointName{words}"


def _failed(error: object) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        "This picture could not be searched; choose another picture, or another preparation.",
        str(error),
    )
