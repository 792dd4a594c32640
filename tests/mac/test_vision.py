"""People and subjects in pictures: absent elsewhere, and what is asked of Apple's framework."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.mac.vision import JOINTS, NoVision
from gui.pipeline.pose import COLOURS, LIMBS, drawn_pose


def test_elsewhere_it_says_that_it_cannot() -> None:
    found = NoVision()
    assert not found.available
    for look in (found.people, found.subject):
        with pytest.raises(SfumatoError) as error:
            look(b"\0" * 12, 2, 2)
        assert error.value.kind is ErrorKind.UNSUPPORTED
        assert "choose another preparation" in error.value.message


class _Point:
    def __init__(self, x: float, y: float, confidence: float = 1.0) -> None:
        self.x, self.y = (lambda: x), (lambda: y)
        self.confidence = lambda: confidence


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`CocoaVision` over stand-ins for pyobjc's two modules, named as pyobjc names them."""
    seen = SimpleNamespace(images=[], joints={}, mask=None)

    def requests(result: Any) -> Any:
        made = SimpleNamespace(results=result)
        return SimpleNamespace(alloc=lambda: SimpleNamespace(init=lambda: made))

    body = SimpleNamespace(
        recognizedPointsForJointsGroupName_error_=lambda _group, _error: (seen.joints, None)
    )
    subject = SimpleNamespace(
        allInstances=lambda: "all",
        generateScaledMaskForImageForInstances_fromRequestHandler_error_=lambda *_: (
            seen.mask,
            None,
        ),
    )
    handler = SimpleNamespace(performRequests_error_=lambda _requests, _error: (True, None))
    names = ["".join(word.capitalize() for word in joint.split("_")) for joint in JOINTS]
    vision: Any = SimpleNamespace(
        VNDetectHumanBodyPoseRequest=requests(lambda: [body]),
        VNGenerateForegroundInstanceMaskRequest=requests(lambda: [subject]),
        VNHumanBodyPoseObservationJointsGroupNameAll="all",
        VNImageRequestHandler=SimpleNamespace(
            alloc=lambda: SimpleNamespace(initWithCGImage_options_=lambda *_: handler)
        ),
        **{f"VNHumanBodyPoseObservationJointName{name}": name for name in names},
    )

    def render(image: Any, into: bytearray, *_: Any) -> None:
        into[:] = image

    quartz: Any = SimpleNamespace(
        CGImageCreate=lambda *given: seen.images.append(given) or "image",
        CGColorSpaceCreateDeviceRGB=lambda: "rgb",
        CGDataProviderCreateWithCFData=lambda data: data,
        kCGImageAlphaNone=0,
        kCGRenderingIntentDefault=0,
        kCIFormatL8=1,
        CIImage=SimpleNamespace(imageWithCVPixelBuffer_=lambda mask: mask),
        CIContext=SimpleNamespace(
            context=lambda: SimpleNamespace(
                render_toBitmap_rowBytes_bounds_format_colorSpace_=render
            )
        ),
    )
    monkeypatch.setitem(sys.modules, "Vision", vision)
    monkeypatch.setitem(sys.modules, "Quartz", quartz)
    monkeypatch.delitem(sys.modules, "gui.mac.cocoa_vision", raising=False)
    seen.vision = importlib.import_module("gui.mac.cocoa_vision").CocoaVision()
    yield seen
    sys.modules.pop("gui.mac.cocoa_vision", None)


def test_joints_are_named_and_turned_upright(framework: Any) -> None:
    """Apple counts from the lower left corner; what it is not sure of is left out."""
    framework.joints = {
        "Nose": _Point(0.5, 0.9),
        "LeftWrist": _Point(0.1, 0.2),
        "RightKnee": _Point(0.3, 0.3, 0.1),
    }
    rgb = bytes(range(24))
    (person,) = framework.vision.people(rgb, 4, 2)
    assert {name: tuple(np.round(at, 6)) for name, at in person.items()} == {
        "nose": (0.5, 0.1),
        "left_wrist": (0.1, 0.8),
    }
    assert framework.images[0][:5] == (4, 2, 8, 24, 12) and rgb in framework.images[0]


def test_the_subjects_mask_comes_as_bytes(framework: Any) -> None:
    framework.mask = bytes([0, 255, 255, 0])
    assert framework.vision.subject(b"\0" * 12, 2, 2) == bytes([0, 255, 255, 0])


def test_a_pose_is_drawn_in_openposes_colours() -> None:
    """The first colours of ControlNet's annotator, by its source: joints full, limbs at 0.6."""
    assert COLOURS[:4] == ((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0))
    assert COLOURS[-1] == (255, 0, 85) and len(LIMBS) == 17 and len(JOINTS) == 18
    person = {"neck": (0.5, 0.25), "right_shoulder": (0.25, 0.25), "nose": (0.5, 0.05)}
    pixels = np.asarray(drawn_pose([person], 512, 512))
    assert tuple(pixels[128, 256]) == (255, 85, 0)  # the neck
    assert tuple(pixels[128, 192]) == (153, 0, 0)  # neck to right shoulder
    assert not pixels[300:].any()  # nobody's legs
    assert drawn_pose([{}], 64, 32).getbbox() is None
