"""Packages made, compressed, measured and finished."""
