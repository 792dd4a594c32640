"""Waiting for what will happen, however busy the machine is."""

from __future__ import annotations

from typing import Any

from pytestqt.qtbot import QtBot

WAIT = 60_000
"""Milliseconds after which a test gives up: far more than anything takes, so that a test that
waits longer has found something."""


class PatientBot(QtBot):
    """pytest-qt's, which gives up after five seconds unless told otherwise."""

    def waitUntil(self, callback: Any, *, timeout: int = WAIT) -> None:
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal: Any, *, timeout: int = WAIT, **rest: Any) -> Any:
        return super().waitSignal(signal, timeout=timeout, **rest)

    def waitSignals(self, signals: Any, *, timeout: int = WAIT, **rest: Any) -> Any:
        return super().waitSignals(signals, timeout=timeout, **rest)

    def waitActive(self, widget: Any, *, timeout: int = WAIT) -> Any:
        return super().waitActive(widget, timeout=timeout)

    def waitExposed(self, widget: Any, *, timeout: int = WAIT) -> Any:
        return super().waitExposed(widget, timeout=timeout)
