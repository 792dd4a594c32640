"""Translations of torch calls into nodes; importing this package fills `graph.TRANSLATIONS`."""

from gui.coreml.portable.openvino.calls import arithmetic, layers, moves

__all__ = ["arithmetic", "layers", "moves"]
