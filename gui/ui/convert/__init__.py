"""The Convert sheet."""
