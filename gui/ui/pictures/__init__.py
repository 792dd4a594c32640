"""The pictures made."""
