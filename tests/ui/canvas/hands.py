"""A person's hands on the canvas: mouse and pen, in pixels of the picture."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QPointingDevice, QTabletEvent
from PySide6.QtWidgets import QApplication

from gui.ui.canvas.picture_view import PictureView

NONE = Qt.KeyboardModifier.NoModifier
LEFT = Qt.MouseButton.LeftButton
_KINDS = (
    QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease,
)  # fmt: skip


def on_surface(view: PictureView, at: tuple[float, float]) -> QPointF:
    return view.surface.place().to_surface(QPointF(*at))


def mouse(
    view: PictureView,
    kind: QEvent.Type,
    at: tuple[float, float],
    *,
    modifiers: Qt.KeyboardModifier = NONE,
    button: Qt.MouseButton = LEFT,
) -> None:
    """One event of the mouse, at a point of the picture."""
    surface = view.surface
    point = on_surface(view, at)
    moving = kind == QEvent.Type.MouseMove
    event = QMouseEvent(
        kind,
        point,
        QPointF(surface.mapToGlobal(point.toPoint())),
        Qt.MouseButton.NoButton if moving else button,
        Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else button,
        modifiers,
    )
    QApplication.sendEvent(surface, event)


def drag(
    view: PictureView,
    points: Sequence[tuple[float, float]],
    *,
    modifiers: Qt.KeyboardModifier = NONE,
) -> None:
    """Press at the first point, go through the others, let go at the last one."""
    press, move, release = _KINDS
    mouse(view, press, points[0], modifiers=modifiers)
    for point in points[1:]:
        mouse(view, move, point, modifiers=modifiers)
    mouse(view, release, points[-1], modifiers=modifiers)


def hover(view: PictureView, at: tuple[float, float]) -> None:
    surface, point = view.surface, on_surface(view, at)
    none = Qt.MouseButton.NoButton
    where = QPointF(surface.mapToGlobal(point.toPoint()))
    event = QMouseEvent(QEvent.Type.MouseMove, point, where, none, none, NONE)
    QApplication.sendEvent(surface, event)


def pen(
    view: PictureView,
    points: Sequence[tuple[float, float, float]],
    *,
    eraser: bool = False,
) -> None:
    """A pen's stroke through points of the picture, each with its pressure."""
    tip = QPointingDevice.PointerType.Eraser if eraser else QPointingDevice.PointerType.Pen
    device = QPointingDevice(
        "pen", 7, QPointingDevice.DeviceType.Stylus, tip,
        QPointingDevice.Capability.Position | QPointingDevice.Capability.Pressure, 1, 1,
    )  # fmt: skip
    surface, none = view.surface, Qt.MouseButton.NoButton
    kinds = [QEvent.Type.TabletPress, *[QEvent.Type.TabletMove] * (len(points) - 1)]
    kinds.append(QEvent.Type.TabletRelease)
    for kind, (x, y, pressure) in zip(kinds, [*points, points[-1]], strict=True):
        at = on_surface(view, (x, y))
        button = none if kind == QEvent.Type.TabletMove else LEFT
        held = none if kind == QEvent.Type.TabletRelease else LEFT
        where = QPointF(surface.mapToGlobal(at.toPoint()))
        event = QTabletEvent(kind, device, at, where, pressure, 0, 0, 0, 0, 0, NONE, button, held)
        QApplication.sendEvent(surface, event)
